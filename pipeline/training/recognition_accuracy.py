"""How good a recogniser is: windows and videos of the test split, source by source, and its exports."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import settings
from pipeline.recognition.classes import CLASSES, UNKNOWN
from pipeline.recognition.export import export_onnx, onnx_probabilities, quantize
from pipeline.recognition.recognizer import Recognizer, inputs, softmax
from pipeline.recognition.segments import Timeline, timeline
from pipeline.recognition.windows import CORE_INDEX, HOP, RATE_HZ, mirrored
from pipeline.training import recognition_sources as sources
from pipeline.training.framework import Work
from pipeline.training.recognition_data import FILMS, Places, places, plain_windows, sequence_of
from pipeline.training.recognition_sources import TEST, TRAIN, Track

RESAMPLES = 1000
TRACKS = 16  # of a source whose tracks are many, for what is measured over whole tracks
CALIBRATION_WINDOWS = 160  # whose ranges set the 8-bit scales, each with its mirror image
_UNKNOWN = CLASSES.index(UNKNOWN)


def measure(recognizer: Recognizer, tracks: Sequence[Track], work: Work) -> dict[str, Any]:
    """The metrics of the test split; plots and exports go into the work's folder."""
    work.progress("windows of the test split", 0.1)
    found = places(tracks, TEST)
    windows = plain_windows(tracks, found)
    answer = named(recognizer, recognizer.probabilities(windows))
    work.progress("videos of the test split", 0.4)
    videos = video_answers(recognizer, some_of_each([track for track in tracks if track.split == TEST]))
    real = [(source, group, truth, said) for source, group, truth, said, _ in videos if source == "repcount"]
    truth = np.array([one[2] for one in real])
    said = np.array([one[3] for one in real])
    value, low, high = balanced_interval(truth, said, np.arange(len(real)))
    work.progress("exports", 0.7)
    names = np.array([track.source for track in tracks])[found.track]
    groups = np.array([track.group for track in tracks])[found.track]
    by_source: dict[str, Any] = {}
    for source in np.unique(names):
        own = names == source
        share, least, most = balanced_interval(found.label[own], answer[own], groups[own])
        by_source[str(source)] = {
            "windows": int(own.sum()), "groups": len(np.unique(groups[own])),
            "accuracy": float((answer[own] == found.label[own]).mean()),
            "balanced_accuracy": share, "low": least, "high": most,
            "unknown_named": _share_named(found.label[own], answer[own]),
        }  # fmt: skip
        _plot(found.label[own], answer[own], work, str(source))
    idle = {
        source: [spent for name, _, true, _, spent in videos if name == source and true == _UNKNOWN]
        for source in {name for name, _, true, _, _ in videos if true == _UNKNOWN}
    }
    films = [spent for source, spans in idle.items() if source in FILMS for spent in spans]
    return {
        "primary": {"name": "balanced accuracy of RepCount test videos", "value": value, "low": low, "high": high,
                    "higher_is_better": True},
        "videos": {"n": len(real), "accuracy": float((truth == said).mean()) if len(real) else float("nan"),
                   "wrong": [[g, CLASSES[t], CLASSES[s]] for _, g, t, s in real if t != s]},
        "windows": by_source,
        "named_time_of_unknown_films": _share(films),
        "named_time_of_unknown_tracks": {source: _share(spans) for source, spans in sorted(idle.items())},
        "sources_told_apart": sources_told_apart(tracks),
        "exports": exports(recognizer, tracks, found, windows, work.folder),
        "milliseconds_a_window": latency_ms(recognizer, windows),
    }  # fmt: skip


def named(recognizer: Recognizer, chances: NDArray[np.float64]) -> NDArray[np.int64]:
    """The single window's answer: the likeliest class, unknown where no exercise reaches the threshold."""
    best = chances.argmax(axis=1)
    best[chances.max(axis=1) < recognizer.calibration.named_from] = _UNKNOWN
    return best


def some_of_each(tracks: Sequence[Track]) -> list[Track]:
    """All of RepCount and of the films without exercises, and the first of each other source."""
    chosen: list[Track] = []
    taken: dict[str, int] = {}
    for track in tracks:
        taken[track.source] = taken.get(track.source, 0) + 1
        if track.source in ("repcount", "upfall") or taken[track.source] <= TRACKS:
            chosen.append(track)
    return chosen


def _share(spans: Sequence[tuple[float, float]]) -> float:
    return sum(a for a, _ in spans) / max(1e-9, sum(b for _, b in spans))


def video_answers(
    recognizer: Recognizer, tracks: Sequence[Track]
) -> list[tuple[str, str, int, int, tuple[float, float]]]:
    """Source, group, true and said class of whole tracks, and seconds named of how many."""
    rows = []
    for track in tracks:
        known = track.label[track.label >= 0]
        exercise = known[known != _UNKNOWN]
        truth = int(np.bincount(exercise).argmax()) if len(exercise) else _UNKNOWN
        line = timeline(sequence_of(track), recognizer)
        doing = line.state[line.state != _UNKNOWN]
        rows.append(
            (track.source, track.group, truth, said_of(line),
             (len(doing) * HOP / RATE_HZ, len(line.state) * HOP / RATE_HZ))
        )  # fmt: skip
    return rows


def said_of(line: Timeline) -> int:
    """The whole clip's class: the exercise that was named longest, weighted with its chance; unknown without any."""
    weights = np.zeros(len(line.classes))
    for state, chances in zip(line.state, line.chances, strict=True):
        if state != _UNKNOWN:
            weights[state] += chances[state]
    return int(weights.argmax()) if weights.any() else _UNKNOWN


def balanced_interval(
    truth: NDArray[np.int64], said: NDArray[np.int64], groups: NDArray[Any], seed: int = 0
) -> tuple[float, float, float]:
    """Balanced accuracy with a 95 % interval from resampling whole groups (videos, subjects)."""

    def score(rows: NDArray[np.int64]) -> float:
        return float(np.mean([(said[rows] == one)[truth[rows] == one].mean() for one in np.unique(truth[rows])]))

    if not len(truth):
        return float("nan"), float("nan"), float("nan")
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return score(np.arange(len(truth))), *_interval(members, score, seed)


def _interval(
    members: list[NDArray[np.int64]], score: Callable[[NDArray[np.int64]], float], seed: int
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    draws = [
        score(np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))]))
        for _ in range(RESAMPLES if sum(map(len, members)) < 2000 else 200)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def _share_named(truth: NDArray[np.int64], said: NDArray[np.int64]) -> float | None:
    idle = truth == _UNKNOWN
    return float((said[idle] != _UNKNOWN).mean()) if idle.any() else None


def sources_told_apart(tracks: Sequence[Track], most: int = 4000) -> dict[str, float]:
    """How well the source alone can be told from places and their spread, within one class at a time.

    Balanced accuracy of a logistic regression on the test split, and what guessing would reach: a network that learns
    the source instead of the movement would look good where these are far apart and a class has one source.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)

    def table(split: str) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.int64]]:
        found = places(tracks, split)
        rows = np.sort(rng.permutation(len(found.track))[:most])
        some = Places(found.track[rows], found.centre[rows], found.label[rows])
        core = plain_windows(tracks, some)[:, :, CORE_INDEX, :2].reshape(len(rows), -1, 26)
        with np.errstate(all="ignore"):
            summary = np.concatenate([np.nanmean(core, axis=1), np.nanstd(np.diff(core, axis=1), axis=1)], axis=1)
        return np.nan_to_num(summary), np.array([track.source for track in tracks])[some.track], some.label

    (x, source, label), (x_test, source_test, label_test) = table(TRAIN), table(TEST)
    scaler = StandardScaler().fit(x)
    shares, chances = [], []
    for one in np.unique(label_test):
        inside, outside = label == one, (label_test == one) & np.isin(source_test, np.unique(source[label == one]))
        if len(np.unique(source[inside])) < 2 or len(np.unique(source_test[outside])) < 2:
            continue
        model = LogisticRegression(max_iter=300, class_weight="balanced").fit(
            scaler.transform(x[inside]), source[inside]
        )
        told = model.predict(scaler.transform(x_test[outside]))
        own = source_test[outside]
        shares.append(float(np.mean([(told == name)[own == name].mean() for name in np.unique(own)])))
        chances.append(1 / len(np.unique(source[inside])))
    return {
        "balanced_accuracy": float(np.mean(shares)) if shares else float("nan"),
        "guessing": float(np.mean(chances)) if chances else float("nan"),
    }


def exports(
    recognizer: Recognizer, tracks: Sequence[Track], found: Places, windows: NDArray[np.float32], folder: Path
) -> dict[str, Any]:
    """ONNX and INT8 in the folder, with their accuracy on the same test windows (at most 3,000)."""
    onnx = export_onnx(recognizer, folder / f"recognition-{recognizer.name}.onnx")
    learn = places(tracks, TRAIN)
    rows = np.random.default_rng(0).permutation(len(learn.track))[:CALIBRATION_WINDOWS]
    some = plain_windows(tracks, Places(learn.track[rows], learn.centre[rows], learn.label[rows]))
    values = inputs(recognizer.name, np.concatenate([some, mirrored(some)]))
    small = quantize(onnx, folder / f"recognition-{recognizer.name}-int8.onnx", values)
    pick = np.random.default_rng(1).permutation(len(windows))[:3000]
    truth = found.label[pick]

    def accuracy(chances: NDArray[np.float64]) -> float:
        return float((named(recognizer, chances) == truth).mean())

    whole = accuracy(softmax(recognizer.logits(windows[pick]) / recognizer.calibration.temperature))
    result: dict[str, Any] = {"windows": len(pick), "accuracy": whole}
    for kind, path in (("onnx", onnx), ("int8", small)):
        share = accuracy(onnx_probabilities(recognizer, path, windows[pick]))
        result[kind] = {"file": path.name, "bytes": path.stat().st_size, "accuracy": share, "loss": whole - share}
    return result


def export_both(recognizer: Recognizer, folder: Path) -> dict[str, Any]:
    """ONNX and INT8 into a folder; accuracy on RepCount's test videos where they are, else on the actor."""
    root = str(settings.data_dir() / "data")
    rng = np.random.default_rng(5)
    bodies = list(sources.actor(rng, 6, 4))
    tracks = [track for body in bodies for track in sources.filmed(body, rng, 1)]
    data = "the actor"
    if (settings.data_dir() / "data" / sources.REPCOUNT).is_file():
        tracks += sources.repcount(root)
        data = "RepCount and the actor"
    found = places(tracks, TEST)
    return exports(recognizer, tracks, found, plain_windows(tracks, found), folder) | {"data": data}


def latency_ms(recognizer: Recognizer, windows: NDArray[np.float32], repeats: int = 40) -> float:
    """Milliseconds of processor time for one window on one core, mirror image and features included.

    The least of the medians of groups of eight windows: what else the machine does only adds to it.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        spent = []
        for number in range(min(repeats, len(windows))):
            start = time.process_time()
            recognizer.probabilities(windows[number : number + 1])
            spent.append(time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    groups = np.array_split(np.array(spent), max(1, len(spent) // 8))
    return min(float(np.median(group)) for group in groups) * 1000 if spent else float("nan")


def _plot(truth: NDArray[np.int64], said: NDArray[np.int64], work: Work, source: str) -> None:
    """The confusion of a source's windows, as shares of the true class."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    import seaborn as sns
    from matplotlib.figure import Figure

    rows = np.unique(truth)
    table = np.array([[np.mean(said[truth == row] == column) for column in range(len(CLASSES))] for row in rows])
    figure = Figure(figsize=(8, 0.45 * len(rows) + 2.2), layout="constrained")
    axes = figure.subplots()
    sns.heatmap(table, annot=True, fmt=".2f", cmap="crest", vmin=0, vmax=1, cbar=False, ax=axes,
                xticklabels=[name.replace("_", " ") for name in CLASSES],
                yticklabels=[CLASSES[row].replace("_", " ") for row in rows])  # fmt: skip
    axes.set(title=f"{source}: windows of the test split", xlabel="said", ylabel="true")
    figure.savefig(work.folder / f"confusion-{source}.png", dpi=110)
