"""Repetitions counted in the media clips and in RepCount's landmarks: writes benchmarks/repetitions.md.

    python -m benchmarks.repetitions [--poses DIR]

Needs the private test data (KINOSCOPE_DATA). Without --poses the clips' poses are made anew (minutes); DIR holds them
as recordings named FOLDER__FILE.json.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.changed_clips import Clip, changed_table, from_mirrored_pictures
from pipeline import settings
from pipeline.inference import InferenceOptions, infer
from pipeline.poses import PoseSequence, Recording
from pipeline.repetitions import RepetitionSet, find_repetitions
from pipeline.runs import RunStore
from pipeline.skeletons import BLAZEPOSE_33

HERE = Path(__file__).parent
ASSUMED_FPS = 30.0  # RepCount's landmarks come without a frame rate
BOX_PX = 1000.0
HOLDS = ("plank",)  # an exercise without repetitions
PUBLISHED = (("TransRAC", 0.443, 0.291), ("PoseRAC", 0.236, 0.560), ("PoseRAC with angles", 0.211, 0.599))


def recording(path: Path, name: str, poses: Path | None) -> Recording:
    if poses is not None:
        return Recording.from_json((poses / f"{name.replace('/', '__')}.json").read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        return infer(path, RunStore(Path(folder)), InferenceOptions(overlay=False)).recording()


def accepted(row: dict[str, str]) -> list[set[int]]:
    """The counts that are right, person by person (in no order): complete ones, or including the cut-off ones."""
    if not row["exercise"] or row["exercise"].startswith(HOLDS):
        return []
    complete, with_cut = (
        [int("".join(filter(str.isdigit, part))) for part in row[column].split(",")]
        for column in ("complete_reps", "reps_incl_cut_off")
    )
    return [{a, b} for a, b in zip(complete, with_cut, strict=True)]


def is_right(found: list[RepetitionSet], right: list[set[int]]) -> bool:
    """Everybody who exercises is counted right, and everybody else not at all."""
    moving = sorted((one for one in found if one.count), key=lambda one: -len(one))
    if len(moving) > len(right):
        return False
    missing = [{0}] * (len(right) - len(moving))
    told = [{one.count, len(one)} for one in moving] + missing
    pairs = zip(told, sorted(right, key=lambda counts: -max(counts)), strict=True)
    return all(a & b for a, b in pairs)


def media_clips(poses: Path | None) -> list[Clip]:
    """Every clip of the manifest with its poses and its truth."""
    folder = settings.data_dir() / "media"
    with (folder / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if Path(row["path"]).suffix in (".mp4", ".mov", ".avi", ".gif")]
    return [
        Clip(row["path"], row["exercise"], recording(folder / row["path"], row["path"], poses).people, accepted(row))
        for row in rows
        if "av1_codec" not in row["path"]  # the same clip as sq_two_people, without counts of its own
    ]


def changed_section(clips: list[Clip], poses: Path | None) -> list[str]:
    """The same clips under every change that their truth survives."""
    folder = settings.data_dir() / "media"
    with tempfile.TemporaryDirectory() as temporary:
        mirrored = from_mirrored_pictures(clips, folder, (poses or Path(temporary)) / "mirrored")
    return changed_table(clips, mirrored, is_right)


def media_table(clips: list[Clip]) -> list[str]:
    rows, tally = [], {True: [0, 0], False: [0, 0]}
    for clip in clips:
        found = [find_repetitions(person) for person in clip.people]
        correct = is_right(found, clip.right)
        tally[bool(clip.right)][0] += correct
        tally[bool(clip.right)][1] += 1
        counted = "; ".join(f"{one.count}" + (f" (+{len(one) - one.count} cut off)" if len(one) > one.count else "")
                            for one in found if len(one)) or "0"  # fmt: skip
        truth = "; ".join("/".join(str(count) for count in sorted(counts)) for counts in clip.right) or "0"
        carried = ", ".join(str(one.signal) for one in found if one.signal) or "–"
        rows.append(f"| {clip.name} | {clip.exercise or '–'} | {truth} | {counted} | {carried} | "
                    f"{'yes' if correct else '**no**'} |")  # fmt: skip
    exercise, other = tally[True], tally[False]
    return [
        f"Right: {exercise[0]} of {exercise[1]} clips with repetitions, {other[0]} of {other[1]} without any.",
        "",
        "| clip | exercise | truth (complete/with cut-off) | counted | signal | right |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
    ]


@dataclass(frozen=True)
class Video:
    label: str
    true: int
    counted: int
    held_out: bool
    frames: int


def repcount_videos() -> list[Video]:
    """Every video counted without its label; held out when the SHA-256 of its name is odd."""
    data = np.load(settings.data_dir() / "data" / "repcount" / "repcount_test152.npz")
    videos = []
    for number, name in enumerate(data["name"]):
        raw = data["lm_u16"][data["offset"][number] : data["offset"][number + 1]]
        points = raw[:, :, :2] * float(data["scale"]) * BOX_PX
        points[(raw == 0).all(axis=(1, 2))] = np.nan
        score = np.where(np.isfinite(points[:, :, 0]), 1.0, np.nan)
        size = (int(BOX_PX), int(BOX_PX))
        sequence = PoseSequence(BLAZEPOSE_33, np.arange(len(raw)) / ASSUMED_FPS, points, score, None, size)
        odd = int(hashlib.sha256(str(name).encode()).hexdigest(), 16) % 2 == 1
        counted = find_repetitions(sequence).count
        videos.append(Video(str(data["label"][number]), int(data["count"][number]), counted, odd, len(raw)))
    return videos


def scores(videos: list[Video]) -> str:
    """Number of videos, MAE (of those with repetitions) and OBO as cells."""
    errors = [abs(one.counted - one.true) for one in videos]
    relative = [error / one.true for error, one in zip(errors, videos, strict=True) if one.true]
    return f"{len(videos)} | {np.mean(relative):.3f} | {np.mean([error <= 1 for error in errors]):.3f}"


def repcount_table() -> list[str]:
    started = time.process_time()
    videos = repcount_videos()
    seconds = time.process_time() - started
    frames = sum(one.frames for one in videos)
    per_10k = seconds / frames * 10_000
    labels = sorted({one.label for one in videos})
    held_out = [one for one in videos if one.held_out]
    return [
        "MAE is |counted - true| / true, OBO the share of videos with an error of at most one. "
        f"{per_10k:.2f} s of processor time per 10,000 frames, in videos of {frames // len(videos)} on average.",
        "",
        "| videos | number | MAE | OBO |",
        "| --- | --- | --- | --- |",
        f"| half on which constants were set | {scores([one for one in videos if not one.held_out])} |",
        f"| other half | {scores(held_out)} |",
        f"| all | {scores(videos)} |",
        *(f"| all, {label} | {scores([one for one in videos if one.label == label])} |" for label in labels),
        *(f"| published: {name} | 152 | {mae:.3f} | {obo:.3f} |" for name, mae, obo in PUBLISHED),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=Path, help="folder of recordings (FOLDER__FILE.json)")
    poses = parser.parse_args().poses
    if not (settings.data_dir() / "media" / "manifest.csv").is_file():
        sys.exit(f"The private test data is not here (KINOSCOPE_DATA={settings.data_dir()}).")
    clips = media_clips(poses)
    lines = [
        "# Repetitions",
        "",
        "Made by `python -m benchmarks.repetitions`; private test data; the counter is told no exercise.",
        "",
        "## Media clips (BlazePose)",
        "",
        *media_table(clips),
        "",
        "## The same clips changed",
        "",
        "The changes are made to the poses, but for the last row's. A clean clip is one whose manifest names no fault; "
        "a named fault is found when any repetition shows it. A cut-off repetition may count or not, as above. Clips "
        "without repetitions are not played twice: what is done twice alike is repeated.",
        "",
        *changed_section(clips, poses),
        "",
        "## RepCount landmarks (every frame scaled to its own box, 30 frames a second assumed)",
        "",
        *repcount_table(),
        "",
    ]
    (HERE / "repetitions.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
