"""Repetitions, faults and refusals against ground truth: writes benchmarks/movements.md.

    python -m benchmarks.movements [media] [actor] [actor_others] [ui_prmd] [squat7] [speed] [--poses FOLDER]

Without names every section runs. Sections whose data is missing say so. ``--poses`` keeps the poses of the clips
between runs (``<folder>__<file>.json``); without it they are made anew in a temporary folder.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.movements_actor import actor_section, other_movements_section, table
from pipeline import settings
from pipeline.estimation.base import Estimator
from pipeline.estimation.topdown import create_blazepose
from pipeline.media import read_frames
from pipeline.movements import Measurements, analyze, judge, measure, measure_repetitions
from pipeline.poses import PoseSequence, Recording
from pipeline.repetitions import Repetition
from pipeline.skeletons import BLAZEPOSE_33, UI_PRMD_22
from pipeline.synthetic.actor import ActorSpec, clip_truth

HERE = Path(__file__).parent
REPORT = HERE / "movements.md"
EXERCISES = {
    "squat": "squat", "push-up": "push_up", "bicep curl": "biceps_curl", "lunge": "lunge",
    "jumping jack": "jumping_jack", "shoulder press": "overhead_press", "sit-up": "sit_up", "pull-up": "pull_up",
}  # fmt: skip
NAMED_FAULTS = {  # clip: (person or None, fault, complete repetitions that show it; None is all)
    "sq_side_heels_up_knees_over_toes_6reps": (None, {"heels_up"}, None),
    "sq_side_quarter_lean_4reps": (None, {"shallow", "forward_lean"}, None),
    "sq_side_1rep_shallow": (None, {"shallow"}, None),
    "sq_front_valgus_3bad_3good": (None, {"knees_in"}, {1, 2, 3}),
    "sq_two_people_wrong_then_correct_h264": (2, {"forward_lean"}, None),
    "curl_dumbbell_3bad_2good": (None, {"elbow_swing"}, {1, 2, 3}),
    "pushup_2reps_sagging": (None, {"sagging_hips"}, None),
}
UNLABELLED = ("sq_mixed_views_bedroom_36reps", "sq_side_1rep_long_hold_then_idle")  # not called clean, nor faulty


def poses_of(path: Path, cache: Path, name: str, estimator: Callable[[], Estimator]) -> Recording:
    """The clip's poses from the cache, or made with the default models and put there."""
    stored = cache / f"{name.replace('/', '__')}.json"
    if not stored.is_file():
        stored.write_bytes(estimator().estimate(read_frames(path)).to_json())
    return Recording.from_json(stored.read_bytes())


# Clips


def media_section(cache: Path) -> str:
    """Counts and faults of every clip with a known exercise."""
    folder = settings.data_dir() / "media"
    if not (folder / "manifest.csv").is_file():
        return f"Skipped: the private clips are not here (KINOSCOPE_DATA={settings.data_dir()})."
    rows, right, found_faults, named, false_clips, clean_clips = [], 0, 0, 0, 0, 0
    counted = 0
    for entry in csv.DictReader((folder / "manifest.csv").open()):
        exercise = next((ours for word, ours in EXERCISES.items() if entry["exercise"].startswith(word)), None)
        if exercise is None or "av1" in entry["path"]:
            continue
        name = Path(entry["path"]).stem
        recording = poses_of(folder / entry["path"], cache, entry["path"], create_blazepose)
        person, faults, where = NAMED_FAULTS.get(name, (None, set(), None))
        report = analyze(recording, exercise, person=person)
        guess = measure(recording, "auto", person=person)
        complete = [repetition for repetition in report.repetitions if repetition.complete]
        truth = _counts(entry["complete_reps"]), _counts(entry["reps_incl_cut_off"])
        ok = len(complete) in truth[0] | truth[1] or len(report.repetitions) in truth[1]
        counted += 1
        right += ok
        shown = {
            fault: [n for n, r in enumerate(complete, start=1) if fault in {remark.fault for remark in r.remarks}]
            for fault in sorted({remark.fault for remark in report.remarks})
        }
        verdict = ""
        if faults:
            named += len(faults)
            hits = [f for f in faults if set(shown.get(f, [])) == (where or set(range(1, len(complete) + 1)))]
            hits = [f for f in hits if complete]
            found_faults += len(hits)
            verdict = f"{len(hits)} of {len(faults)} named faults exactly where they are"
        elif name not in UNLABELLED:
            clean_clips += 1
            false_clips += bool(shown)
            verdict = "no fault: right" if not shown else "FALSE"
        rows.append(
            {
                "clip": name,
                "complete (with cut-off), truth": f"{entry['complete_reps']} ({entry['reps_incl_cut_off']})",
                "found": f"{len(complete)} ({len(report.repetitions)})",
                "count": "right" if ok else "WRONG",
                "auto says": f"{guess.movement} ({guess.movement_confidence:.2f})",
                "view": report.view,
                "remarks (complete repetitions)": "; ".join(f"{f}: {_list(n)}" for f, n in shown.items()) or "none",
                "judgement": verdict,
            }
        )
    return (
        f"{right} of {counted} counts right; {found_faults} of {named} named faults found in exactly the repetitions "
        f"that show them; {false_clips} of {clean_clips} clean clips with a false remark.\n\n{table(rows)}"
    )


def _counts(text: str) -> set[int]:
    """ "right 2, left 3" as {2, 3}: any person of the clip may be the one who was analysed."""
    words = text.replace("person 2", "2")
    return {int(number) for number in re.findall(r"\d+", words)}


def _list(numbers: Iterable[int]) -> str:
    return ",".join(str(number) for number in numbers)


# UI-PRMD


def ui_prmd_section(_: Path) -> str:
    """Correct against incorrect repetitions by one metric alone, and by all, leaving one subject out."""
    path = settings.data_dir() / "data/ui_prmd/kinect_abs.npz"
    if not path.is_file():
        return f"Skipped: UI-PRMD is not here ({path.name} in KINOSCOPE_DATA)."
    data = np.load(path)
    xyz_m = data["xyz_i16"] * float(data["scale_cm"]) / 100
    movements = {1: ("deep squat", "squat"), 3: ("inline lunge", "lunge"), 5: ("sit-to-stand", "squat")}
    rows = []
    for number, (label, movement) in movements.items():
        values, faulty, subjects = [], [], []
        for place in np.flatnonzero(data["meta"][:, 0] == number):
            points = xyz_m[data["offset"][place] : data["offset"][place + 1]]
            values.append(_metrics_in_space(points, movement))
            faulty.append(int(data["meta"][place, 3]))
            subjects.append(int(data["meta"][place, 1]))
        rows += _leave_one_out(label, values, np.array(faulty), np.array(subjects))
    return (
        "Kinect joints in space (no feet points, so no heels; 9 subjects). The area under the curve is the mean over "
        "the left-out subjects; whether more or less is worse was learnt from the others.\n\n" + table(rows)
    )


def _metrics_in_space(points: np.ndarray, movement: str) -> dict[str, float]:
    """Readings of one trimmed repetition at 30 frames a second, (T, 22, 3) metres."""
    time_s = np.arange(len(points)) / 30
    hips = [UI_PRMD_22.index("left_hip"), UI_PRMD_22.index("right_hip")]
    centred = points - points[:, hips].mean(axis=1, keepdims=True)
    shape = points.shape[:2]
    nothing = np.full((*shape, 2), np.nan)
    sequence = PoseSequence(UI_PRMD_22, time_s, nothing, np.full(shape, np.nan), centred, (0, 0))
    whole = Repetition(0, 0.0, float(time_s[-1]) / 2, float(time_s[-1]), True, 1.0, 1.0)
    return _values(measure_repetitions(sequence, movement, [whole]))


def _values(found: Measurements) -> dict[str, float]:
    return {r.metric: r.value for q in found.repetitions for r in q.readings if r.side == "both" and not r.refused}


def _leave_one_out(
    label: str, values: list[dict[str, float]], faulty: np.ndarray, subjects: np.ndarray
) -> list[dict[str, Any]]:
    names = sorted({name for row in values for name in row})
    grid = np.array([[row.get(name, np.nan) for name in names] for row in values])
    names = [name for name, column in zip(names, grid.T, strict=True) if np.isfinite(column).mean() > 0.9]
    grid = np.array([[row.get(name, np.nan) for name in names] for row in values])
    grid = np.where(np.isfinite(grid), grid, np.nanmedian(grid, axis=0))
    rows = []
    for column, name in enumerate(names):
        scores = []
        for subject in np.unique(subjects):
            held = subjects == subject
            sign = 1 if roc_auc_score(faulty[~held], grid[~held, column]) >= 0.5 else -1
            scores.append(roc_auc_score(faulty[held], sign * grid[held, column]))
        rows.append({"movement": label, "metric": name, "AUC": f"{np.mean(scores):.2f}"})
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=2000))
    scores = []
    for subject in np.unique(subjects):
        held = subjects == subject
        model.fit(grid[~held], faulty[~held])
        scores.append(roc_auc_score(faulty[held], model.decision_function(grid[held])))
    rows.sort(key=lambda row: row["AUC"], reverse=True)
    return [{"movement": label, "metric": "**all, logistic regression**", "AUC": f"**{np.mean(scores):.2f}**"}, *rows]


# Squats in space with named faults

SQUAT7 = {  # class: (metric, 1 when more is worse)
    "bending forward": ("lean_deg", 1), "heels lifting": ("heel_rise_deg", 1),
    "knees caving": ("knee_separation_ratio", -1), "no depth": ("thigh_deg", 1), "toes lifting": ("heel_rise_deg", -1),
}  # fmt: skip


def squat7_section(_: Path) -> str:
    """Each fault against good squats by the one metric that is made for it; nothing is learnt."""
    path = settings.data_dir() / "data/squat7_3d/squat7_3d.npz"
    if not path.is_file():
        return f"Skipped: squat7_3d is not here ({path.name} in KINOSCOPE_DATA)."
    data = np.load(path)
    missing = int(data["missing"])
    names = [re.sub(r"^([lr])_", lambda m: {"l": "left_", "r": "right_"}[m[1]], str(j)) for j in data["joints"]]
    columns = [BLAZEPOSE_33.index(name) for name in names]
    measured, flagged = [], []
    for place in range(len(data["label"])):
        raw = data["xyz_i16"][data["offset"][place] : data["offset"][place + 1]]
        points = np.where(raw == missing, np.nan, raw * float(data["scale_cm"]) / 100) * (1, -1, -1)
        found = _measure_squat7(points, columns)
        measured.append(_values(found))
        flagged.append({remark.fault for remark in judge(found).remarks})
    dates = np.array([str(name).split("_")[1] for name in data["name"]])
    labels, classes = data["label"], [str(name) for name in data["classes"]]
    good = np.isin(labels, [classes.index("olympic squat"), classes.index("powerlifting squat")])
    rows = []
    for fault, (metric, sign) in SQUAT7.items():
        value = np.array([sign * row.get(metric, np.nan) for row in measured])
        bad = labels == classes.index(fault)
        usable = np.isfinite(value) & (bad | good)
        by_date = [
            (roc_auc_score(bad[here], value[here]), int(here.sum()))
            for date in np.unique(dates)
            if (here := usable & (dates == date)).any() and len(set(bad[here])) == 2
        ]
        rows.append(
            {
                "fault": fault,
                "metric": metric,
                "known in": f"{100 * usable.sum() / (bad | good).sum():.0f} %",
                "AUC, all dates together": f"{roc_auc_score(bad[usable], value[usable]):.2f}",
                "AUC within a date (mean, dates)": (
                    f"{np.average([a for a, _ in by_date], weights=[n for _, n in by_date]):.2f} ({len(by_date)})"
                    if by_date
                    else "no date has both"
                ),
            }
        )
    ours = {"bending forward": "forward_lean", "heels lifting": "heels_up", "knees caving": "knees_in",
            "no depth": "shallow"}  # fmt: skip
    remarks = [
        {
            "fault": fault,
            "remark": remark,
            "on it": _share(flagged, labels == classes.index(fault), remark),
            "on good squats": _share(flagged, good, remark),
        }
        for fault, remark in ours.items()
    ]
    return (
        "1,323 labelled squats, triangulated from two cameras (noisy). Dates carry only some classes, so the column "
        f"within a date is the honest one.\n\n{table(rows)}\n\nRemarks with the standard thresholds\n\n{table(remarks)}"
    )


def _share(flagged: list[set[str]], chosen: np.ndarray, remark: str) -> str:
    hits = [remark in faults for faults, here in zip(flagged, chosen, strict=True) if here]
    return f"{100 * np.mean(hits):.0f} % of {len(hits)}"


def _measure_squat7(points: np.ndarray, columns: list[int]) -> Measurements:
    frames = len(points)
    xyz = np.full((frames, len(BLAZEPOSE_33), 3), np.nan)
    xyz[:, columns] = points
    hips = [BLAZEPOSE_33.index("left_hip"), BLAZEPOSE_33.index("right_hip")]
    xyz -= xyz[:, hips].mean(axis=1, keepdims=True)
    time_s = np.arange(frames) / 30
    score = np.where(np.isfinite(xyz).all(axis=2), 0.9, np.nan)
    sequence = PoseSequence(BLAZEPOSE_33, time_s, np.full((*score.shape, 2), np.nan), score, xyz, (0, 0))
    whole = Repetition(0, 0.0, float(time_s[-1]) / 2, float(time_s[-1]), True, 1.0, 1.0)
    return measure_repetitions(sequence, "squat", [whole])


# Speed


def speed_section(_: Path) -> str:
    """10,000 frames of squats, poses to report."""
    truth = clip_truth(ActorSpec.one("squat", repetitions=122, view="side", fps=30)).recording.people[0]
    sequence = replace(truth, xyz_m=None, root_m=None).select(slice(0, 10_000))
    start, start_cpu = time.perf_counter(), time.process_time()
    found = measure(sequence, "squat")
    middle, middle_cpu = time.perf_counter(), time.process_time()
    judge(found, "strict")
    end = time.perf_counter()
    return (
        f"{len(sequence)} frames, {len(found.repetitions)} repetitions: measured (filters, counting, all metrics) in "
        f"{middle_cpu - start_cpu:.2f} s of one core ({middle - start:.2f} s by the clock of a busy machine), "
        f"judged again under other thresholds in {1000 * (end - middle):.0f} ms."
    )


SECTIONS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "media": ("Clips (BlazePose, poses to remarks)", media_section),
    "actor": ("Rendered actor, squat", actor_section),
    "actor_others": ("Actor, the other movements (true joints with noise, nothing rendered)", other_movements_section),
    "ui_prmd": ("UI-PRMD: correct against incorrect", ui_prmd_section),
    "squat7": ("squat7_3d: one metric a fault", squat7_section),
    "speed": ("Speed", speed_section),
}
_INTRODUCTION = """# Movement analysis: counts, faults, refusals

Made by `python -m benchmarks.movements`; thresholds are the preset "standard".
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of: {', '.join(SECTIONS)}")
    parser.add_argument("--poses", type=Path, help="folder that keeps poses between runs")
    arguments = parser.parse_args()
    chosen = arguments.sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there is: {', '.join(SECTIONS)}")
    written = {}
    if REPORT.is_file():
        for part in REPORT.read_text().split("\n## ")[1:]:
            title, _, body = part.partition("\n")
            written[title] = body.strip()
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.poses or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        for name in chosen:
            title, run = SECTIONS[name]
            written[title] = run(cache)
            print(f"## {title}\n\n{written[title]}\n")
    ordered = [title for title, _ in SECTIONS.values() if title in written]
    REPORT.write_text(_INTRODUCTION + "".join(f"\n## {title}\n\n{written[title]}\n" for title in ordered))


if __name__ == "__main__":
    main()
