"""Labels that somebody corrected by hand, as a file that a training can learn from.

The file holds landmarks in each frame's own box (no picture, no place, no size), so it can be shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.poses import SCHEMA_VERSION, PoseSequence, check_schema
from pipeline.recognition.classes import CLASSES, UNKNOWN, RecognitionError
from pipeline.recognition.segments import Segment
from pipeline.recognition.windows import RATE_HZ, boxed, on_clock

KIND = "kinoscope-recognition-labels"


@dataclass(frozen=True)
class LabelledSpan:
    """An exercise between two moments of a clip, in seconds, as a person says it is."""

    start_s: float
    end_s: float
    exercise: str


def checked_spans(rows: Sequence[Mapping[str, Any]], start_s: float, end_s: float) -> tuple[LabelledSpan, ...]:
    """Rows of an edited table (``start_s``, ``end_s``, ``exercise``) as spans in time order.

    Raises:
        RecognitionError: a row is incomplete, ends before it starts, lies outside the clip, or overlaps another one.
    """
    spans = []
    for number, row in enumerate(rows, 1):
        values = [row.get(name) for name in ("start_s", "end_s", "exercise")]
        if any(value is None or value != value for value in values):
            raise RecognitionError(f"Row {number} is not complete: give it a start, an end and an exercise.")
        start, end, exercise = float(values[0]), float(values[1]), str(values[2])  # type: ignore[arg-type]
        if exercise not in CLASSES:
            raise RecognitionError(
                f"Row {number}: there is no exercise {exercise!r}; choose one of: {', '.join(CLASSES)}."
            )
        if not start_s - 0.5 <= start < end <= end_s + 0.5:
            raise RecognitionError(
                f"Row {number}: from {start:.2f} to {end:.2f} s is no part of this clip; "
                f"choose a start before the end, between {start_s:.2f} and {end_s:.2f} s."
            )
        spans.append(LabelledSpan(start, end, exercise))
    spans.sort(key=lambda span: span.start_s)
    for first, second in pairwise(spans):
        if second.start_s < first.end_s - 1e-6:
            raise RecognitionError(
                f"The rows from {first.start_s:.2f} s and from {second.start_s:.2f} s overlap; move one of them."
            )
    return tuple(spans)


def spans_of(segments: Sequence[Segment]) -> tuple[LabelledSpan, ...]:
    """What was recognised, as a first version of the labels."""
    return tuple(LabelledSpan(round(s.start_s, 2), round(s.end_s, 2), s.exercise) for s in segments)


def labels_file(sequence: PoseSequence, spans: Sequence[LabelledSpan], clip: str) -> bytes:
    """The file (JSON): boxed landmarks on the even clock, and the spans; what is in no span is unknown."""
    clock = on_clock(sequence)
    points = np.round(boxed(clock.points), 4)
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "clip": clip,
        "person": sequence.person,
        "rate_hz": RATE_HZ,
        "first_sample": clock.first,
        "spans": [{"start_s": s.start_s, "end_s": s.end_s, "exercise": s.exercise} for s in spans],
        "points": np.ascontiguousarray(points),
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def read_labels(content: bytes) -> tuple[str, NDArray[np.float32], NDArray[np.int8]]:
    """Clip and person, landmarks (S, 33, 3) and class numbers (S,) of such a file.

    Raises:
        RecognitionError: it is no such file. SchemaError: a newer version wrote it.
    """
    try:
        document = orjson.loads(content)
        if not isinstance(document, dict) or document.get("kind") != KIND:
            raise KeyError("kind")
        check_schema(document.get("schema_version"), "The file of labels")
        points = np.array(document["points"], dtype=np.float32).reshape(-1, 33, 3)
        time_s = (int(document["first_sample"]) + np.arange(len(points))) / float(document["rate_hz"])
        marks = np.full(len(points), CLASSES.index(UNKNOWN), np.int8)
        for span in document["spans"]:
            marks[(time_s >= span["start_s"]) & (time_s <= span["end_s"])] = CLASSES.index(span["exercise"])
        return f"{document['clip']}-{document['person']}", points, marks
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        if "newer Kinoscope" in str(error):
            raise
        raise RecognitionError(
            "This is no file of recognition labels; export one from Exercise Recognition."
        ) from error
