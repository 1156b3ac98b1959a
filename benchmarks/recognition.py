"""Exercise recognition on the media clips, never trained on: writes benchmarks/recognition.md.

    python -m benchmarks.recognition [--poses DIR]

Needs the private test data (KINOSCOPE_DATA). Without --poses the clips' poses are made anew (minutes); DIR holds them
as recordings named FOLDER__FILE.json. The numbers of the test splits come from checkpoints/*.evaluation.json.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.falls import at_rate, everybody
from benchmarks.repetitions import recording
from pipeline import settings
from pipeline.movements.recognize import recognize as by_rules
from pipeline.poses import PoseSequence, Recording
from pipeline.recognition.classes import CLASSES, UNKNOWN, label
from pipeline.recognition.recognizer import Recognizer, installed
from pipeline.recognition.segments import Recognition, recognize
from pipeline.recognition.windows import cut, on_clock, window_centres
from pipeline.repetitions import find_repetitions
from pipeline.signal import clean
from pipeline.training.recognition_accuracy import balanced_interval, latency_ms

HERE = Path(__file__).parent
NAMES = {"squat": "squat", "push-up": "push_up", "bicep curl": "biceps_curl", "lunge": "lunge",
         "jumping jack": "jumping_jack", "sit-up": "sit_up", "shoulder press": "overhead_press",
         "pull-up": "pull_up"}  # fmt: skip
FRAME_RATES = (10.0, 15.0, 30.0, 60.0)


@dataclass(frozen=True)
class Clip:
    """A media clip with its poses and what it shows."""

    name: str
    truth: str
    recorded: Recording


def media_clips(poses: Path | None) -> list[Clip]:
    """All clips of ``media`` that can be read."""
    folder = settings.data_dir() / "media"
    manifest = next(folder.glob("*.csv"))
    clips = []
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["category"].startswith("photos"):
                continue
            kind = row["exercise"].split("(")[0].strip()
            if poses is not None and not (poses / f"{row['path'].replace('/', '__')}.json").is_file():
                continue
            recorded = recording(folder / row["path"], row["path"], poses)
            clips.append(Clip(row["path"], NAMES.get(kind, UNKNOWN), recorded))
    return clips


def rules_answer(recorded: Recording) -> str:
    """What the rules of the Movement Analyzer say: of the surest person who is named at all."""
    best, sure = UNKNOWN, 0.0
    for one in recorded.people:
        if one.frames_seen < 2:
            continue
        guess = by_rules(clean(one), find_repetitions(one).repetitions)
        if guess.movement in CLASSES[:-1] and guess.confidence > sure:
            best, sure = guess.movement, guess.confidence
    return best


def named_time(found: Recognition) -> tuple[float, float]:
    """Seconds named, and seconds that people were there."""
    named = sum(segment.duration_s for segment in found.segments)
    there = sum(float(line.time_s[-1] - line.time_s[0]) for line in found.timelines if len(line.time_s))
    return named, there


def agreement(clips: list[Clip], usual: dict[str, Recognition], change: Callable[[PoseSequence], PoseSequence],
              recognizer: Recognizer) -> tuple[int, int]:  # fmt: skip
    """Clips with the same answer after a change, of how many."""
    same = 0
    with_people = [clip for clip in clips if any(one.frames_seen > 15 for one in clip.recorded.people)]
    for clip in with_people:
        changed = recognize(everybody(clip.recorded, change), recognizer=recognizer, count=False)
        same += changed.main() == usual[clip.name].main()
    return same, len(with_people)


def written(clips: list[Clip]) -> str:
    """The report."""
    lines = [
        "# Exercise recognition",
        "",
        f"{len(clips)} clips of `media`, never trained on; poses by the default model.",
        "",
    ]
    truth = np.array([CLASSES.index(clip.truth) for clip in clips])
    answers: dict[str, np.ndarray] = {}
    found: dict[str, dict[str, Recognition]] = {}
    recognizers = {name: Recognizer.load(name) for name in installed()}
    for name, recognizer in recognizers.items():
        found[name] = {clip.name: recognize(clip.recorded, recognizer=recognizer, count=False) for clip in clips}
        answers[name] = np.array([CLASSES.index(found[name][clip.name].main()) for clip in clips])
    answers["rules"] = np.array([CLASSES.index(rules_answer(clip.recorded)) for clip in clips])
    groups = np.arange(len(clips))
    lines += ["| answer by | balanced accuracy of clips (95 %) | exercise clips right | others left unnamed |",
              "| --- | --- | --- | --- |"]  # fmt: skip
    idle = truth == CLASSES.index(UNKNOWN)
    for name, said in answers.items():
        value, low, high = balanced_interval(truth, said, groups)
        right = said == truth
        lines.append(f"| {name} | {value:.2f} ({low:.2f} to {high:.2f}) | {right[~idle].sum()} of {(~idle).sum()} "
                     f"| {right[idle].sum()} of {idle.sum()} |")  # fmt: skip
    lines += ["", "By class (right of all):", "", "| class | " + " | ".join(answers) + " |",
              "| --- |" + " --- |" * len(answers)]  # fmt: skip
    for number in np.unique(truth):
        own = truth == number
        shares = " | ".join(f"{(said == truth)[own].sum()} of {own.sum()}" for said in answers.values())
        lines.append(f"| {label(CLASSES[number])} | {shares} |")
    lines += ["", "Time named in the clips without a known exercise:", ""]
    for name in installed():
        spans = [
            (clip.name, *named_time(found[name][clip.name])) for clip, other in zip(clips, idle, strict=True) if other
        ]
        share = sum(one[1] for one in spans) / max(1e-9, sum(one[2] for one in spans))
        worst = ", ".join(f"{one[0]} {one[1]:.1f} s ({found[name][one[0]].main()})" for one in spans if one[1] > 0)
        lines.append(f"- {name}: {share:.2%} of the people's time ({worst or 'nothing'})")
    lines += ["", "Wrong clips:", ""]
    for name, said in answers.items():
        wrong = [f"{c.name} ({c.truth}: {CLASSES[s]})" for c, s, t in zip(clips, said, truth, strict=True) if s != t]
        lines.append(f"- {name}: {', '.join(wrong) or 'none'}")
    first = next(iter(recognizers))
    lines += ["", f"The same answer of {first} for the clip after a change:", "", "| change | clips |", "| --- | --- |"]
    changes: dict[str, Callable[[PoseSequence], PoseSequence]] = {
        "mirrored": lambda one: one.mirrored(),
        "a third of the size, elsewhere": lambda one: replace(one, xy_px=one.xy_px * 0.33 + 25),
    }
    for fps in FRAME_RATES:
        changes[f"{fps:g} frames a second"] = partial(at_rate, fps=fps)
    for words, change in changes.items():
        same, total = agreement(clips, found[first], change, recognizers[first])
        lines.append(f"| {words} | {same} of {total} |")
    longest = max((one for clip in clips for one in clip.recorded.people), key=len)
    clock = on_clock(longest)
    windows = cut(clock, window_centres(clock.first, clock.first + len(clock.points) - 1))
    times = ", ".join(f"{name} {latency_ms(one, windows):.2f} ms" for name, one in recognizers.items())
    lines += ["", f"One window, mirror image and features included, processor time of one core: {times}.", ""]
    return "\n".join([*lines, *splits()])


def splits() -> list[str]:
    """The test splits' numbers, from the evaluations beside the weights."""
    lines = ["## Test splits", "", "As last evaluated, beside the weights; the cards say what has changed since.", "",
             "| network | source | windows | accuracy | balanced (95 %) | unknown named |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    notes = []
    for path in sorted((settings.PROJECT_DIR / "checkpoints").glob("recognition*.evaluation.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        network, first = metrics["config"]["network"], metrics["primary"]
        for source, own in metrics["windows"].items():
            unknown = "" if own["unknown_named"] is None else f"{own['unknown_named']:.1%}"
            interval = f"{own['balanced_accuracy']:.2f} ({own['low']:.2f} to {own['high']:.2f})"
            lines.append(
                f"| {network} | {source} | {own['windows']} | {own['accuracy']:.2f} | {interval} | {unknown} |"
            )
        exports = metrics["exports"]
        notes += [
            f"- {network}: {first['name']} {first['value']:.2f} ({first['low']:.2f} to {first['high']:.2f}), "
            f"{metrics['videos']['n']} videos; wrong: "
            + (", ".join(f"{name} ({was}: {said})" for name, was, said in metrics["videos"]["wrong"]) or "none"),
            f"- {network}: the source alone can be told with balanced accuracy "
            f"{metrics['sources_told_apart']['balanced_accuracy']:.2f} within a class (guessing: "
            f"{metrics['sources_told_apart']['guessing']:.2f}); {metrics['named_time_of_unknown_films']:.2%} of the "
            "time of test films without an exercise is named; by source: "
            + ", ".join(f"{name} {share:.1%}" for name, share in metrics["named_time_of_unknown_tracks"].items()),
            f"- {network}: ONNX {exports['onnx']['bytes'] / 1e6:.2f} MB, loss {exports['onnx']['loss']:+.4f}; INT8 "
            f"{exports['int8']['bytes'] / 1e6:.2f} MB, "
            f"loss {exports['int8']['loss']:+.4f} of {exports['accuracy']:.4f}",
        ]
    floor = "- The floor (the older TensorFlow program, eight classes, its own data): accuracy 0.50; `tcn` rebuilds it."
    forest = "- A plain random forest across data sets, as the requirement quotes it: 0.76 to 0.79."
    return [*lines, "", *notes, floor, forest, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poses", type=Path, default=None, metavar="DIR")
    clips = media_clips(parser.parse_args().poses)
    (HERE / "recognition.md").write_text(written(clips), encoding="utf-8")


if __name__ == "__main__":
    main()
