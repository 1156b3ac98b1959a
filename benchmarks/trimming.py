"""The trimmer on the media clips, by the turning points that were marked by hand: writes benchmarks/trimming.md.

    python -m benchmarks.trimming [--poses DIR]

Needs the private test data (KINOSCOPE_DATA). The manifest has the lowest (or highest) moment of each repetition and no
beginnings or ends, so that there is no frame F1 here: a repetition is right when it holds one such moment and no other.
Without --poses the clips' poses are made anew (minutes).
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.repetitions import recording
from pipeline import settings
from pipeline.poses import Array, PoseSequence
from pipeline.scoring.canonical import CanonicalError
from pipeline.scoring.lift import LiftError, lift
from pipeline.scoring.trimming import trim, trimmer

HERE = Path(__file__).parent
UPRIGHT = ("squat", "lunge")  # the exercises of the ten that are scored


@dataclass(frozen=True)
class Marked:
    """A clip: moments marked by hand, repetitions found, how many of these are right, moments within a segment."""

    name: str
    exercise: str
    moments: int
    found: int
    right: int
    inside: int


def moments(text: str) -> list[float]:
    """The frame numbers of the manifest's ``extreme_frames``, the middle of a range; parts about the floor left out."""
    parts = [part for part in re.split(r"[;|]", text) if "floor" not in part and "hold f" not in part]
    spans = [match.group(0).split("-") for part in parts for match in re.finditer(r"\d+(?:-\d+)?", part)]
    return [float(np.mean([int(end) for end in span])) for span in spans]


def right_of(repetitions: tuple[tuple[float, float], ...], times_s: Array) -> int:
    """How many repetitions hold just one of the moments."""
    return sum(int(((times_s >= start) & (times_s < end)).sum()) == 1 for start, end in repetitions)


def marked(name: str, exercise: str, person: PoseSequence, frames: list[float]) -> Marked:
    times_s = person.time_s[np.minimum(np.array(frames).astype(int), len(person) - 1)]
    try:
        space = lift(person)
        assert space.xyz_m is not None
        found = trim(trimmer(), space.xyz_m, space.time_s)
    except (LiftError, CanonicalError):
        return Marked(name, exercise, len(frames), 0, 0, 0)
    inside = sum(any(s.start_s <= t <= s.end_s for s in found.segments) for t in times_s)
    right = right_of(found.repetitions, times_s)
    return Marked(name, exercise, len(frames), len(found.repetitions), right, inside)


def measured(poses: Path | None) -> list[Marked]:
    """All clips of one person with marked moments."""
    folder = settings.data_dir() / "media"
    with (folder / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["exercise"] and row["persons"] == "1"]
    found = []
    for row in rows:
        if frames := moments(row["extreme_frames"]):
            people = recording(folder / row["path"], row["path"], poses).people
            person = max(people, key=lambda one: one.frames_seen)
            found.append(marked(Path(row["path"]).stem, row["exercise"], person, frames))
    return found


def summary(title: str, clips: list[Marked]) -> str:
    total = [sum(getattr(clip, name) for clip in clips) for name in ("moments", "found", "right", "inside")]
    points, reps, right, inside = total
    f1 = 2 * right / max(points + reps, 1)
    return f"| {title} | {len(clips)} | {points} | {inside} | {reps} | {right} | {f1:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=Path, help="folder of recordings (FOLDER__FILE.json)")
    poses = parser.parse_args().poses
    if not (settings.data_dir() / "media" / "manifest.csv").is_file():
        sys.exit(f"The private test data is not here (KINOSCOPE_DATA={settings.data_dir()}).")
    clips = measured(poses)
    scored = [clip for clip in clips if clip.exercise.startswith(UPRIGHT)]
    others = [clip for clip in clips if not clip.exercise.startswith(UPRIGHT)]
    lines = [
        "# Frame trimming on the media clips",
        "",
        "Made by `python -m benchmarks.trimming`; private test data; poses of the default model, lifted by the "
        "temporal network, no gate before it.",
        "",
        "The manifest marks the turning point of each repetition, not where it begins and ends: a frame F1 cannot be "
        "measured. A repetition is right when it holds just one turning point.",
        "",
        "| clips | number | turning points | of these in a marked segment | repetitions found | right | F1 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        summary("squats and lunges", scored),
        summary("other exercises (none is scored; several lie)", others),
        "",
        "| clip | exercise | turning points | in a segment | found | right |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {c.name} | {c.exercise} | {c.moments} | {c.inside} | {c.found} | {c.right} |" for c in clips),
        "",
    ]
    (HERE / "trimming.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
