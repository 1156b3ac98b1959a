"""The film of a clip's falls: every person with a label and the probability, a frame around whoever falls.

Drawn on the source clip and kept in the run; another sensitivity replaces it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import orjson

from pipeline.drawing import DEFAULT_THRESHOLD, draw_pose, draw_text
from pipeline.estimation.base import Image
from pipeline.falls.detect import FallReport, PersonFalls
from pipeline.falls.events import FallEvent
from pipeline.falls.people import joined
from pipeline.film import Asked, Told, draw_film
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Run

ALARM = (214, 40, 40)  # RGB
STAYS_S = 3.0  # without lying or getting up, the label stays this long after the impact


def film_name(report: FallReport) -> str:
    """The film's file; it changes with everything that the film shows."""
    digest = hashlib.sha256(orjson.dumps(report.to_json(curves=True))).hexdigest()[:8]
    return f"falls-{digest}.mp4"


def find_film(run: Run, report: FallReport) -> Path | None:
    """The film of exactly this report; None when it was not made yet."""
    return run.file(film_name(report))


def state_at(events: tuple[FallEvent, ...], time_s: float) -> str:
    """What a person's label says: "falling", "fallen", "lying", "up again"; empty without a fall up to then."""
    for event in reversed(events):
        if time_s < event.onset_s:
            continue
        if time_s < event.impact_s:
            return "falling"
        if event.recovered and time_s >= event.recovered_s:
            return "up again" if time_s < event.recovered_s + STAYS_S else ""
        if np.isfinite(event.lying_s) and time_s >= event.lying_s:
            return "lying" if time_s <= event.lying_s + event.lying_for_s + 0.5 or not event.recovered else "fallen"
        return "fallen"
    return ""


def label_at(one: PersonFalls, time_s: float) -> str:
    """Number, state and probability: "1: falling, 93 %"."""
    value = np.interp(time_s, one.time_s, one.probability, left=0.0, right=0.0) if len(one.time_s) else 0.0
    state = state_at(one.events, time_s)
    return f"{one.person}: {state + ', ' if state else ''}{value:.0%}"


def draw_moment(
    image: Image, people: tuple[PoseSequence, ...], report: FallReport, frame: int, *, scale: float = 1.0,
    threshold: float = DEFAULT_THRESHOLD,
) -> None:  # fmt: skip
    """Draw one frame of the film into ``image`` (in place).

    Args:
        image: (H, W, 3) RGB frame of the source, ``scale`` times its size.
        people: of ``joined``, as the report has them. frame: its position in the recording.
        threshold: points less confident than this are not drawn.
    """
    falls = {one.person: one for one in report.people}
    alarm = False
    for person in people:
        time_s = float(person.time_s[frame])
        points = person.xy_px[frame] * scale
        seen = np.isfinite(points).all(axis=1)
        if not seen.any() or person.person not in falls:
            continue
        one = falls[person.person]
        state = state_at(one.events, time_s)
        draw_pose(image, person.skeleton, points, person.score[frame], person=person.person, threshold=threshold,
                  label=label_at(one, time_s))  # fmt: skip
        if state in ("falling", "fallen", "lying"):
            alarm = True
            low, high = points[seen].min(axis=0) - 8 * scale, points[seen].max(axis=0) + 8 * scale
            corners = [(round(float(x)), round(float(y))) for x, y in (low, high)]
            cv2.rectangle(image, corners[0], corners[1], ALARM, max(2, min(image.shape[:2]) // 200))
    if alarm:
        draw_text(image, "FALL", (image.shape[1] / 2, 30.0), ALARM)


def make_film(
    run: Run, recording: Recording, report: FallReport, *, progress: Told = None, cancelled: Asked = None
) -> Path:
    """Draw the falls on the run's source clip and keep the film in the run (``film_name``); an earlier one goes.

    Raises:
        FilmError, MediaError: as ``pipeline.film.draw_film``.
    """
    people = joined(recording.people)

    def draw(image: Image, frame: int, scale: float) -> None:
        draw_moment(image, people, report, frame, scale=scale)

    return draw_film(
        run, film_name(report), recording.time_s, draw, replaces="falls-*.mp4", progress=progress, cancelled=cancelled
    )
