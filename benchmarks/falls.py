"""Falls in the media clips, and what size, mirror, place and frame rate change: writes benchmarks/falls.md.

    python -m benchmarks.falls [--poses DIR]

Needs the private test data (KINOSCOPE_DATA). Without --poses the clips' poses are made anew (minutes); DIR holds them
as recordings named FOLDER__FILE.json. The cross-validated numbers and the baselines come from checkpoints/.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.repetitions import recording
from pipeline import settings
from pipeline.falls.detect import FallReport, detect_falls
from pipeline.falls.events import FallEvent
from pipeline.falls.forest import CHECKPOINT, SENSITIVITIES
from pipeline.falls.live import LiveFalls
from pipeline.poses import PoseSequence, Recording
from pipeline.synthetic.timeline import FallTimes
from pipeline.training.fall_measure import Tally, match

HERE = Path(__file__).parent
LIFE = ("adl", "exercise_other", "squat_side", "squat_front", "robustness", "multi_person")
FRAME_RATES = (10.0, 15.0, 30.0, 60.0)


def truth_of(row: dict[str, str], recorded: Recording) -> tuple[FallTimes, ...]:
    """Onset and floor by eye ("start 51, on mat 60, ...": frames) in seconds; none for a clip without a fall."""
    if row["fall"] != "1":
        return ()
    frames = [
        int(number) for number in re.findall(r"(?:start|on mat|knees|floor|seat on floor) (\d+)", row["fall_frames"])
    ]
    onset, impact = frames[0], frames[1] if len(frames) > 1 else frames[0] + 10
    return (FallTimes(*(float(recorded.time_s[min(frame, len(recorded) - 1)]) for frame in (onset, impact))),)


def alarms(events: Sequence[FallEvent]) -> str:
    return "; ".join(f"{e.onset_s:.1f} to {e.impact_s:.1f} s ({e.peak_probability:.0%})" for e in events) or "none"


def at_rate(one: PoseSequence, fps: float) -> PoseSequence:
    """The person's frames nearest to an even rate: frames dropped, or interpolated between two for a higher one."""
    time_s = np.arange(one.time_s[0], one.time_s[-1], 1 / fps)
    usual = 1 / np.median(np.diff(one.time_s))
    if fps <= usual:
        keep = np.unique(np.abs(one.time_s[:, None] - time_s).argmin(axis=0))
        return one.select(keep)
    after = np.clip(np.searchsorted(one.time_s, time_s), 1, len(one) - 1)
    share = ((time_s - one.time_s[after - 1]) / (one.time_s[after] - one.time_s[after - 1]))[:, None]
    xy_px = one.xy_px[after - 1] * (1 - share[..., None]) + one.xy_px[after] * share[..., None]
    score = one.score[after - 1] * (1 - share) + one.score[after] * share
    return PoseSequence(one.skeleton, time_s, xy_px, score, None, one.image_size, one.person)


def everybody(recorded: Recording, change: object) -> Recording:
    people = tuple(change(one) for one in recorded.people)  # type: ignore[operator]
    return Recording(people, people[0].time_s if people else recorded.time_s)


CHANGES = {
    "half size": lambda one: replace(
        one, xy_px=one.xy_px / 2, image_size=(one.image_size[0] // 2, one.image_size[1] // 2)
    ),
    "mirrored": lambda one: one.mirrored(),
    "shifted by (97, -41) px": lambda one: replace(one, xy_px=one.xy_px + (97.0, -41.0)),
    **{f"{fps:.0f} frames a second": (lambda one, fps=fps: at_rate(one, fps)) for fps in FRAME_RATES},
}


def live_events(recorded: Recording) -> int:
    count = 0
    for one in recorded.people:
        live = LiveFalls(one.skeleton, one.image_size, one.person)
        for time_s, xy_px, score in zip(one.time_s, one.xy_px, one.score, strict=True):
            live.update(xy_px, score, float(time_s))
        live.finish()
        count += len(live.told)
    return count


def measure(
    rows: list[dict[str, str]], recordings: dict[str, Recording], sensitivity: str
) -> tuple[Tally, dict[str, FallReport]]:
    counts, reports = Tally(), {}
    for row in rows:
        recorded = recordings[row["path"]]
        report = detect_falls(recorded, sensitivity=sensitivity)
        falls = truth_of(row, recorded)
        hours = 0.0 if falls else report.length_s / 3600
        counts.add(row["path"], report.events, falls, hours)
        reports[row["path"]] = report
    return counts, reports


def media_part(poses: Path | None) -> list[str]:
    folder = settings.data_dir() / "media"
    with (folder / "manifest.csv").open() as file:
        rows = [
            row for row in csv.DictReader(file)
            if row["category"] in ("fall", *LIFE) and "av1_codec" not in row["path"]
        ]  # fmt: skip
    recordings = {row["path"]: recording(folder / row["path"], row["path"], poses) for row in rows}
    started = time.process_time()
    counts, reports = measure(rows, recordings, "balanced")
    seconds = time.process_time() - started
    length_s = sum(report.length_s for report in reports.values())
    result = counts.to_json()
    lines = [
        "## Clips that nothing was trained on",
        "",
        f"Balanced sensitivity. {result['found']:.0f} of {result['falls']:.0f} falls found, "
        f"{result['false_alarms']:.0f} false alarms: precision {_number(result['precision'])}, "
        f"recall {_number(result['recall'])}, **event F1 {_number(result['f1'])}** "
        f"(95 % by drawing clips {_number(result['f1_low'])} to {_number(result['f1_high'])}). "
        f"In {counts.hours * 60:.1f} minutes without a fall {_number(result['false_alarms_per_h'])} false alarms an "
        f"hour, exact Poisson bound {_number(result['false_alarms_per_h_high'])}. "
        f"Onset error: median {_number(result['onset_error_median_s'])} s, 90 % within "
        f"{_number(result['onset_error_90_s'])} s. {length_s:.0f} s of clips took {seconds:.1f} s of processor time "
        f"once the poses were there: {length_s / seconds:.0f} times faster than life.",
        "",
        "| clip | fall by eye (s) | alarms (onset to impact) | right |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        falls, events = truth_of(row, recordings[row["path"]]), reports[row["path"]].events
        right = len(match(events, falls)) == len(falls) == len(events)
        if falls or events:
            by_eye = "; ".join(f"{fall.onset_s:.1f} to {fall.impact_s:.1f}" for fall in falls) or "none"
            verdict = "yes" if right else "**no**"
            lines.append(f"| {Path(row['path']).stem} | {by_eye} | {alarms(events)} | {verdict} |")
    quiet = sum(not truth_of(row, recordings[row["path"]]) and not reports[row["path"]].events for row in rows)
    lines += ["", f"Without a fall and without an alarm: {quiet} clips.", ""]
    lines += ["| sensitivity | found | false alarms | F1 |", "| --- | --- | --- | --- |"]
    for name in SENSITIVITIES:
        other, _ = measure(rows, recordings, name)
        lines.append(f"| {name} | {other.found} of {other.falls} | {other.false_alarms} | {other.f1():.3f} |")
    lines += ["", "## The same fall clips, changed", "",
              "| change | same number of events | largest change of onset (s) |", "| --- | --- | --- |"]  # fmt: skip
    falls_only = [row["path"] for row in rows if row["fall"] == "1"]
    for name, change in CHANGES.items():
        same, moved = 0, 0.0
        for path in falls_only:
            before, after = reports[path].events, detect_falls(everybody(recordings[path], change)).events
            same += len(before) == len(after)
            moved = max([moved, *(abs(a.onset_s - b.onset_s) for a, b in zip(before, after, strict=False))])
        lines.append(f"| {name} | {same} of {len(falls_only)} | {moved:.2f} |")
    agree = sum(live_events(recordings[path]) == len(reports[path].events) for path in falls_only)
    lines += ["", f"Live, frame by frame: the same number of events in {agree} of {len(falls_only)} fall clips."]
    return lines


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def trained_part() -> list[str]:
    """The evaluation that was deployed with the model."""
    path = CHECKPOINT.with_suffix(".evaluation.json")
    if not path.is_file():
        return []
    metrics = json.loads(path.read_text(encoding="utf-8"))
    lines = ["", "## Cross-validated on the training sources, every method on the same people", "",
             "Grouped by fall event, scene and performer; each method at its own best threshold. Cells: F1, found "
             "of falls, false alarms.", ""]  # fmt: skip
    sources = list(metrics["config"]["sources"])
    lines += [f"| method | {' | '.join(['filmed', *sources])} |", "| --- |" + " --- |" * (len(sources) + 1)]
    for name, row in metrics["methods"].items():
        lines.append(f"| {name} | {' | '.join(_cell(row[source]) for source in ['filmed', *sources])} |")
    if metrics["unseen_sources"]:
        lines += [
            "",
            "On a source that the forest never saw:",
            "",
            "| tested on, learned from | result |",
            "| --- | --- |",
        ]
    lines += [f"| {name} | {_cell(row)} |" for name, row in metrics["unseen_sources"].items()]
    lines += ["", "Published anchors: 92.5 % F1 on UP-Fall, 91.4 % on UR Fall and MCFD, with pose features."]
    return lines


def _cell(row: dict[str, float]) -> str:
    f1 = "-" if not row["falls"] else f"F1 {_number(row['f1'])}, {row['found']:.0f} of {row['falls']:.0f}"
    return f"{f1}, {row['false_alarms']:.0f} false in {row['hours']:.2f} h"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poses", type=Path, default=None)
    arguments = parser.parse_args()
    lines = [
        "# Fall detection",
        "",
        "`python -m benchmarks.falls` wrote this.",
        "",
        *media_part(arguments.poses),
        *trained_part(),
    ]
    (HERE / "falls.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
