"""One person, one line: a track that breaks off in a fall and goes on under another number is put together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.falls.features import body
from pipeline.poses import Array, PoseSequence

GAP_S = 1.5  # a lost person is looked for this long
OVERLAP_S = 0.35  # and may be found under a new number shortly before the old one is given up
NEAR_H = 0.7  # body heights between where one track ends and the other begins


def joined(people: tuple[PoseSequence, ...]) -> tuple[PoseSequence, ...]:
    """The people with their broken tracks put together; a joined person keeps the earlier number.

    A track that begins within ``GAP_S`` after another one ended, no further than ``NEAR_H`` from there, continues it.
    People that are never seen are left out.
    """
    rest = sorted((one for one in people if one.frames_seen), key=lambda one: float(one.time_s[one.seen][0]))
    done: list[PoseSequence] = []
    for one in rest:
        before = [(_distance(other, one), number) for number, other in enumerate(done)]
        best = min(before, default=(np.inf, -1))
        if best[0] <= NEAR_H:
            done[best[1]] = _put_together(done[best[1]], one)
        else:
            done.append(one)
    return tuple(sorted(done, key=lambda one: one.person))


def _distance(first: PoseSequence, second: PoseSequence) -> float:
    """In body heights, from where the first track ends to where the second begins; infinite when times do not fit."""
    end_s, start_s = float(first.time_s[first.seen][-1]), float(second.time_s[second.seen][0])
    if not -OVERLAP_S <= start_s - end_s <= GAP_S:
        return np.inf
    last = _middle(first.between(end_s - 0.3, end_s + 1e-6))
    next_ = _middle(second.between(start_s, start_s + 0.3))
    heights = body(first.between(end_s - 2.0, end_s + 1e-6)).height_px
    known = heights[np.isfinite(heights)]
    if not len(known):
        return np.inf
    distance = float(np.linalg.norm(next_ - last) / np.median(known))
    return distance if np.isfinite(distance) else np.inf


def _middle(sequence: PoseSequence) -> Array:
    boxes = sequence.boxes_px()
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    return (boxes[:, :2] + boxes[:, 2:]).mean(axis=0) / 2 if len(boxes) else np.full(2, np.nan)


def _put_together(first: PoseSequence, second: PoseSequence) -> PoseSequence:
    later = second.seen
    xy_px, score = first.xy_px.copy(), first.score.copy()
    xy_px[later], score[later] = second.xy_px[later], second.score[later]
    return replace(first, xy_px=xy_px, score=score, xyz_m=None, raw_score=None, root_m=None)
