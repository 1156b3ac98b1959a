"""What the frames' own boxes hide: whether the hands move or the trunk, and which way straight arms point.

A pull-up and an overhead press look alike when every frame is scaled to its own box, and so do a push-up and a bench
press: in one the hands stay where they are and the trunk moves, in the other it is the reverse. And without the
picture's proportions, arms raised to the side look like arms raised to the front. Where the landmarks have places in
the picture, these settle it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.recognition.classes import UNKNOWN
from pipeline.recognition.recognizer import Recognizer
from pipeline.recognition.windows import CORE_INDEX, WINDOW, Clock, cut
from pipeline.skeletons import BLAZEPOSE_33

PAIRS = (("pull_up", "overhead_press"), ("push_up", "bench_press"))  # the trunk moves, the hands move
SHARPNESS = 4.0  # exponent of the ratio of the two travels: at twice the travel, odds of 16
JITTER = 0.02  # of the body's size: travel that key points show of somebody who holds still
BOXED = 0.01  # of the body's size: in half of the frames: edges that vary less were put there by a scaling
RAISED = 0.35  # trunk lengths below the shoulders: hands that are higher are raised
ASIDE = 0.55  # opening of the arms of a raise that is as much to the side as to the front; see ``opened``
ASIDE_SHARPNESS = 8.0
_LIMBS = {joint: np.array([BLAZEPOSE_33.index(f"{side}_{joint}") for side in ("left", "right")])
          for joint in ("shoulder", "elbow", "wrist", "hip")}  # fmt: skip
_HANDS = _LIMBS["wrist"]
_TRUNK = np.concatenate([_LIMBS["shoulder"], _LIMBS["hip"]])


def chances_at(recognizer: Recognizer, clock: Clock, centres: NDArray[np.int64]) -> Array:
    """(N, C) calibrated probabilities of the windows around these samples, settled by the places.

    The chances of the ``PAIRS`` are shared out anew among the two, and those of a front raise whose arms point to the
    sides go to unknown.
    """
    chances = recognizer.probabilities(cut(clock, centres))
    odds = trunk_odds(clock, centres)
    for trunk, hands in PAIRS:
        if trunk in recognizer.classes and hands in recognizer.classes:
            pair = [recognizer.classes.index(trunk), recognizer.classes.index(hands)]
            both = chances[:, pair].sum(axis=1, keepdims=True)
            weighed = chances[:, pair] * np.stack([odds, np.ones_like(odds)], axis=1)
            chances[:, pair] = both * weighed / np.maximum(weighed.sum(axis=1, keepdims=True), 1e-12)
    if "front_raise" in recognizer.classes:
        raised, none = recognizer.classes.index("front_raise"), recognizer.classes.index(UNKNOWN)
        ratio = (opened(clock, centres) / ASIDE) ** ASIDE_SHARPNESS
        moved = chances[:, raised] * ratio / (1 + ratio)
        chances[:, raised] -= moved
        chances[:, none] += moved
    return chances


def _places(clock: Clock, centre: int) -> Array | None:
    """(T, 33, 2) a window's frames with hands and trunk in the picture; None where the places do not say anything.

    They do not where each frame came in its own box already, or around its own hips.
    """
    first = centre - WINDOW // 2 - clock.first
    part = np.asarray(clock.points[max(0, first) : max(0, first + WINDOW), :, :2], np.float64)
    part = part[np.isfinite(part[:, np.r_[_HANDS, _TRUNK]]).all(axis=(1, 2))]
    if len(part) < WINDOW // 4:
        return None
    own_box = any(_still(part[:, joints]) for joints in (slice(None), CORE_INDEX))
    hips, size = part[:, _LIMBS["hip"]].mean(axis=1), _edges(part)[1]
    return None if size <= 0 or own_box or np.ptp(hips, axis=0).max() < 1e-3 * size else part


def _still(part: Array) -> bool:
    """Whether the box of these joints is the same in half of the frames."""
    edges, size = _edges(part)
    return bool(np.median(np.abs(edges - np.median(edges, axis=0)), axis=0).max() < BOXED * size)


def _edges(part: Array) -> tuple[Array, float]:
    """(T, 4) left, top, right, bottom of the frames, and the larger side of the usual one."""
    edges = np.concatenate([np.nanmin(part, axis=1), np.nanmax(part, axis=1)], axis=1)
    usual = np.median(edges, axis=0)
    return edges, float((usual[2:] - usual[:2]).max())


def trunk_odds(clock: Clock, centres: NDArray[np.int64]) -> Array:
    """(N,) odds that it is the trunk which moves in a window, and not the hands; 1 where the places do not say."""
    odds = np.ones(len(centres))
    for row, centre in enumerate(centres):
        if (part := _places(clock, int(centre))) is not None:
            size = _edges(part)[1]
            hands, trunk = (
                float(np.linalg.norm(part[:, joints].mean(axis=1).std(axis=0))) / size + JITTER
                for joints in (_HANDS, _TRUNK)
            )
            odds[row] = (trunk / hands) ** SHARPNESS
    return odds


def opened(clock: Clock, centres: NDArray[np.int64]) -> Array:
    """(N,) how far raised arms point away from one another in the picture: 0 parallel, 1 straight out to both sides.

    Half of the hands' distance beyond that of the shoulders, level in the picture, in lengths of the arm; the median
    of the frames in which both hands are raised. 0 where they never are, or the places do not say. In 60 films of
    front raises (Countix) it is below 0.42 in 57.
    """
    found = np.zeros(len(centres))
    for row, centre in enumerate(centres):
        if (part := _places(clock, int(centre))) is None:
            continue
        shoulder, elbow, wrist, hip = (part[:, _LIMBS[joint]] for joint in ("shoulder", "elbow", "wrist", "hip"))
        arms = np.linalg.norm(elbow - shoulder, axis=2) + np.linalg.norm(wrist - elbow, axis=2)
        trunk = np.percentile(np.linalg.norm((shoulder - hip).mean(axis=1), axis=1), 90)
        raised = ((wrist - shoulder)[..., 1] < RAISED * trunk).all(axis=1) & np.isfinite(arms).all(axis=1)
        if raised.any():
            reach = (wrist - shoulder)[raised, :, 0]
            length = max(float(np.nanpercentile(arms, 90)), 1e-9)
            found[row] = float(np.median(np.abs(reach[:, 0] - reach[:, 1]))) / (2 * length)
    return found
