"""Stage "recognition": which exercise a window of poses shows.

Validation chooses the weights, the temperature and the threshold; the test split is looked at by ``evaluate`` only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import settings
from pipeline.recognition.classes import CLASSES, UNKNOWN
from pipeline.recognition.recognizer import MOTION, NETWORKS, Calibration, Recognizer, build, inputs, softmax
from pipeline.recognition.segments import PRICE, decode
from pipeline.recognition.windows import Clock, cut, window_centres
from pipeline.training.framework import Stage, TrainingError, Work
from pipeline.training.recognition_data import (
    FILMS,
    DataChoice,
    Places,
    Stock,
    load_tracks,
    places,
    plain_windows,
    source_weights,
    stock_of,
    varied_windows,
)
from pipeline.training.recognition_sources import TRAIN, VALIDATION, Track

if TYPE_CHECKING:
    import torch

CONFIG = Path(__file__).with_name("configs") / "recognition.toml"
CHECK_WINDOWS = 6000  # of the validation split, at most
GRADIENT_NORM = 5.0
DAILY = ("upfall", "still", "rendered", "corrected")  # films in which nothing is repeated that looks like an exercise
LEVELS = (0.55, 0.65, 0.75, 0.85, 0.9, 0.95)  # thresholds that are tried


@dataclass(frozen=True)
class RecognitionConfig:
    """Everything that decides the result.

    network: "motion", or "tcn" for the baseline of 189 features.
    seed: of weights, order, augmentation, cameras and the actor.
    data: folder or fsspec URL (``s3://``, ``gs://``) of the data sets; empty is ``KINOSCOPE_DATA``/data.
    sources: which data sets; every exercise is in at least two of the default ones.
    corrected: files of corrected labels that the recognition page exported (fsspec paths), trained on like films.
    daily_takes: clips of UP-Fall whose poses are estimated and learnt as unknown.
    actor_exercises, actor_others: sequences of the actor for each exercise, and for each other motion.
    grafted: arm exercises put on motion-captured bodies, for each of the three.
    rendered: clips of the actor rendered and seen by the pose model, for each class; costs half a minute each.
    near_misses: takes of each movement that is nearly an exercise, by our own figure.
    views: cameras for each motion in space.
    epochs, windows_an_epoch, batch_size: rounds; each draws its windows anew.
    learning_rate, weight_decay, warmup: of AdamW with a cosine to 0; share of the steps that warm up.
    label_smoothing: keeps the scores from running away.
    unknown_share: how often unknown is drawn, as a multiple of an exercise.
    film_share: of an exercise's windows, how many come from films (of real or rendered people).
    unknown_film_share: the same of unknown's, whose films show held postures and daily life, but few near misses.
    named_at_most: share of the time of validation films of daily life that may be named; sets the threshold.
    once_from, repeated_from: the threshold where one complete repetition is counted, or more; with two, an exercise
        need only be likelier than none.
    """

    network: str = MOTION
    seed: int = 7
    data: str = ""
    sources: tuple[str, ...] = (
        "repcount", "countix", "still", "gym", "upfall", "rendered", "ui_prmd", "mocap", "kinect", "actor", "grafted",
        "stages", "msr", "near_miss",
    )  # fmt: skip
    corrected: tuple[str, ...] = ()
    daily_takes: int = 34
    actor_exercises: int = 50
    actor_others: int = 30
    grafted: int = 60
    rendered: int = 4
    near_misses: int = 14
    views: int = 2
    epochs: int = 16
    windows_an_epoch: int = 8192
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.05
    label_smoothing: float = 0.05
    unknown_share: float = 1.5
    film_share: float = 0.65
    unknown_film_share: float = 0.35
    named_at_most: float = 0.0025
    once_from: float = 0.75
    repeated_from: float = 0.5

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {self.network!r}.")
        if min(self.epochs, self.windows_an_epoch, self.batch_size, self.views) < 1:
            raise ValueError("epochs, windows_an_epoch, batch_size and views must be at least 1.")


def choice(config: RecognitionConfig) -> DataChoice:
    """The data that a configuration asks for."""
    root = config.data or str(settings.data_dir() / "data")
    return DataChoice(root, config.sources, config.corrected, config.daily_takes, config.actor_exercises,
                      config.actor_others, config.grafted, config.rendered, config.near_misses, config.views,
                      config.seed)  # fmt: skip


def train(config: RecognitionConfig, work: Work) -> None:
    """Weights, calibration and threshold into the folder."""
    import torch
    from safetensors.torch import load_file, save_file

    tracks = load_tracks(choice(config), work.progress)
    found, check = places(tracks, TRAIN), _some(places(tracks, VALIDATION), CHECK_WINDOWS, config.seed)
    if not len(found.track) or not len(check.track):
        raise TrainingError("A split is empty: choose more sources or takes.")
    weights = source_weights(tracks, found, FILMS, config.film_share, config.unknown_share, config.unknown_film_share)
    stock = stock_of(tracks, config.network)
    check_inputs = torch.from_numpy(inputs(config.network, plain_windows(tracks, check)))
    films = np.isin(np.array([track.source for track in tracks])[check.track], FILMS)
    lessons = Lessons(stock, found, weights, check, check_inputs, films)
    network = build(config.network)
    if work.start is not None:
        network.load_state_dict(load_file(work.start))
    if config.network == "tcn" and work.start is None:
        _standardise(network, stock, found, config)
    _fit(network, lessons, config, work)
    save_file(network.state_dict(), work.folder / f"recognition-{config.network}.safetensors")
    recognizer = Recognizer(network, Calibration(config.network))
    calibration = calibrated(recognizer, tracks, check, config)
    path = work.folder / f"recognition-{config.network}.json"
    path.write_text(json.dumps(calibration.to_json(), indent=1) + "\n", encoding="utf-8")
    work.validated(lessons.score(network))


@dataclass(frozen=True, eq=False)
class Lessons:
    """What is learnt from and checked on.

    found, weights: where training windows can be cut, and how often each is drawn; check, check_inputs: windows of the
    validation split; films: (N,) whether these come from films.
    """

    stock: Stock
    found: Places
    weights: NDArray[np.float64]
    check: Places
    check_inputs: torch.Tensor
    films: NDArray[np.bool_]

    def score(self, network: torch.nn.Module) -> float:
        """Balanced accuracy of validation windows, the mean of films and of motions from space."""
        right = _scores(network, self.check_inputs).argmax(axis=1) == self.check.label
        parts = [balanced(right[side], self.check.label[side]) for side in (self.films, ~self.films) if side.any()]
        return float(np.mean(parts))


def _fit(network: torch.nn.Module, lessons: Lessons, config: RecognitionConfig, work: Work) -> None:
    """Train the network, going on from the work's state; it is left with the weights of its best epoch."""
    import torch
    from safetensors.torch import load_file, save_file

    found, weights, kept = lessons.found, lessons.weights, work.folder / "network.safetensors"
    steps = config.epochs * -(-config.windows_an_epoch // config.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps, pct_start=min(0.5, max(config.warmup, 1.5 / steps))
    )
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    best, first = -1.0, 0
    if (state := work.load_state()) is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        best, first = float(state["best"]), int(state["epoch"]) + 1
    for epoch in range(first, config.epochs):
        rng = np.random.default_rng((config.seed, epoch))
        torch.manual_seed(config.seed * 1000 + epoch)  # dropout, so that a killed training goes on the same
        drawn = rng.choice(len(weights), config.windows_an_epoch, p=weights)
        network.train()
        total = 0.0
        batches = np.array_split(drawn, -(-len(drawn) // config.batch_size))
        for number, rows in enumerate(batches):
            part = Places(found.track[rows], found.centre[rows], found.label[rows])
            values = torch.from_numpy(_inputs(config.network, varied_windows(lessons.stock, part, rng)))
            loss = loss_of(network(values), torch.from_numpy(part.label))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
            optimizer.step()
            schedule.step()
            total += loss.item()
            done = (epoch + (number + 1) / len(batches)) / config.epochs
            work.progress(f"epoch {epoch + 1} of {config.epochs}", done)
        score = lessons.score(network)
        work.log(epoch=epoch, loss=total / len(batches), validation=score)
        if score >= best:
            best = score
            save_file(network.state_dict(), kept)
        work.save_state(
            {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
             "best": best, "epoch": epoch}
        )  # fmt: skip
    network.load_state_dict(load_file(kept))


def _some(found: Places, most: int, seed: int) -> Places:
    rows = np.sort(np.random.default_rng(seed).permutation(len(found.track))[:most])
    return Places(found.track[rows], found.centre[rows], found.label[rows])


def _inputs(network: str, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the windows of a stock, which has only what the network looks at."""
    return windows if network == MOTION else inputs(network, windows)


def _standardise(network: Any, stock: Stock, found: Places, config: RecognitionConfig) -> None:
    """The features' mean and spread over some training windows, as the network's own buffers."""
    import torch

    some = _some(found, 2000, config.seed)
    values = _inputs(config.network, varied_windows(stock, some, np.random.default_rng(config.seed)))
    flat = values.reshape(-1, values.shape[-1])
    network.mean.copy_(torch.from_numpy(np.nanmean(flat, axis=0)))
    network.scale.copy_(torch.from_numpy(np.maximum(np.nanstd(flat, axis=0), 1e-3)))


def _scores(network: torch.nn.Module, values: torch.Tensor) -> NDArray[np.float32]:
    import torch

    network.eval()
    with torch.inference_mode():
        return np.concatenate([network(part).numpy() for part in values.split(256)])


def balanced(right: NDArray[np.bool_], label: NDArray[np.int64]) -> float:
    """Mean of the classes' shares of right answers; NaN without any."""
    shares = [right[label == one].mean() for one in np.unique(label)]
    return float(np.mean(shares)) if shares else float("nan")


def calibrated(
    recognizer: Recognizer, tracks: Sequence[Track], check: Places, config: RecognitionConfig
) -> Calibration:
    """Temperature by the likelihood of the windows' labels (Guo et al. 2017), and the least threshold at which no more
    than ``named_at_most`` of the time of daily life is named where nothing is repeated."""
    from scipy.optimize import minimize_scalar

    scores = recognizer.logits(plain_windows(tracks, check))
    weights = source_weights(tracks, check, FILMS, config.film_share, config.unknown_share, config.unknown_film_share)

    def loss(log_temperature: float) -> float:
        chances = softmax(scores / np.exp(log_temperature))
        right = np.maximum(chances[np.arange(len(check.label)), check.label], 1e-12)
        return float(-(weights * np.log(right)).sum())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))
    found = replace(
        recognizer.calibration,
        temperature=round(temperature, 4),
        once_from=config.once_from,
        repeated_from=config.repeated_from,
    )
    calm = Recognizer(recognizer.network, found)
    unknown = CLASSES.index(UNKNOWN)
    idle: dict[str, list[NDArray[np.float64]]] = {}
    for track in tracks:
        if track.split == VALIDATION and track.source in DAILY and (track.label == unknown).all():
            idle.setdefault(track.source, []).append(chances_of(calm, track))
    for level in LEVELS:
        found = replace(found, named_from=level)
        shares = [
            np.mean(np.concatenate([decode(chances, level, PRICE) for chances in own]) != unknown)
            for own in idle.values()
        ]
        if not shares or np.mean(shares) <= config.named_at_most:
            break
    return found


def chances_of(recognizer: Recognizer, track: Track) -> NDArray[np.float64]:
    """(N, C) of all of a track's windows."""
    return recognizer.probabilities(cut(Clock(0, track.points), window_centres(0, max(0, len(track.points) - 1))))


def evaluate(config: RecognitionConfig, work: Work) -> dict[str, Any]:
    """Windows, videos, sources and exports of the test split: see ``recognition_accuracy``."""
    from pipeline.training.recognition_accuracy import measure

    recognizer = Recognizer.load(config.network, work.folder)
    return measure(recognizer, load_tracks(choice(config), work.progress), work)


def _files(config: RecognitionConfig) -> tuple[str, ...]:
    return (f"recognition-{config.network}.safetensors", f"recognition-{config.network}.json")


STAGE = Stage("recognition", RecognitionConfig, CONFIG, train, evaluate, _files)
