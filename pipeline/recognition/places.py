"""What the frames' own boxes hide: whether the hands move or the trunk.

A pull-up and an overhead press look alike when every frame is scaled to its own box, and so do a push-up and a bench
press: in one the hands stay where they are and the trunk moves, in the other it is the reverse. Where the landmarks
have places in the picture, these settle it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.recognition.recognizer import Recognizer
from pipeline.recognition.windows import WINDOW, Clock, cut
from pipeline.skeletons import BLAZEPOSE_33

PAIRS = (("pull_up", "overhead_press"), ("push_up", "bench_press"))  # the trunk moves, the hands move
SHARPNESS = 4.0  # exponent of the ratio of the two travels: at twice the travel, odds of 16
JITTER = 0.02  # of the body's size: travel that key points show of somebody who holds still
BOXED = 0.01  # of the body's size: in half of the frames: edges that vary less were put there by a scaling
_HANDS = np.array([BLAZEPOSE_33.index(f"{side}_wrist") for side in ("left", "right")])
_TRUNK = np.array(
    [BLAZEPOSE_33.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "hip")]
)


def chances_at(recognizer: Recognizer, clock: Clock, centres: NDArray[np.int64]) -> Array:
    """(N, C) calibrated probabilities of the windows around these samples, the ``PAIRS`` settled by the places."""
    chances = recognizer.probabilities(cut(clock, centres))
    odds = trunk_odds(clock, centres)
    for trunk, hands in PAIRS:
        if trunk in recognizer.classes and hands in recognizer.classes:
            pair = [recognizer.classes.index(trunk), recognizer.classes.index(hands)]
            both = chances[:, pair].sum(axis=1, keepdims=True)
            weighed = chances[:, pair] * np.stack([odds, np.ones_like(odds)], axis=1)
            chances[:, pair] = both * weighed / np.maximum(weighed.sum(axis=1, keepdims=True), 1e-12)
    return chances


def trunk_odds(clock: Clock, centres: NDArray[np.int64]) -> Array:
    """(N,) odds that it is the trunk which moves in a window, and not the hands; 1 where the places do not say.

    They do not say where each frame came in its own box already, or around its own hips.
    """
    odds = np.ones(len(centres))
    for row, centre in enumerate(centres):
        first = int(centre) - WINDOW // 2 - clock.first
        part = np.asarray(clock.points[max(0, first) : max(0, first + WINDOW), :, :2], np.float64)
        part = part[np.isfinite(part[:, np.r_[_HANDS, _TRUNK]]).all(axis=(1, 2))]
        if len(part) < WINDOW // 4:
            continue
        edges = np.concatenate([np.nanmin(part, axis=1), np.nanmax(part, axis=1)], axis=1)
        usual = np.median(edges, axis=0)
        size = float((usual[2:] - usual[:2]).max())
        still = np.median(np.abs(edges - usual), axis=0).max() < BOXED * size
        hips = part[:, _TRUNK[[1, 3]]].mean(axis=1)
        if size <= 0 or still or np.ptp(hips, axis=0).max() < 1e-3 * size:
            continue
        hands, trunk = (
            float(np.linalg.norm(part[:, joints].mean(axis=1).std(axis=0))) / size + JITTER
            for joints in (_HANDS, _TRUNK)
        )
        odds[row] = (trunk / hands) ** SHARPNESS
    return odds
