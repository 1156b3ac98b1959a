"""From a curve to there-and-back cycles, and how alike they are. Positions are indices of the even time grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array
from pipeline.signal import median_of_known

Indices = NDArray[np.int_]

PHASES = 12  # samples of a time-normalised cycle


def turning_points(values: Array, threshold: float) -> tuple[Indices, Indices]:
    """Alternating extremes of a curve without NaN, by hysteresis: a reversal counts once it exceeds ``threshold``.

    The first and the last one are the extremes before the first and after the last reversal: there the movement may
    go on unseen.

    Returns:
        positions, and +1 for a high, -1 for a low; both empty when the curve never moves by ``threshold``.
    """
    steps = np.sign(np.diff(values))
    moving = np.flatnonzero(steps)
    if not len(moving):
        return np.empty(0, dtype=np.int_), np.empty(0, dtype=np.int_)
    signs = steps[moving]
    local = np.concatenate([[0], moving[1:][signs[1:] != signs[:-1]], [len(values) - 1]])
    levels = values[local].tolist()
    found: list[tuple[int, int]] = []
    low = high = current = 0
    direction = 0
    for number, level in enumerate(levels):
        if direction == 0:
            high = number if level > levels[high] else high
            low = number if level < levels[low] else low
            if levels[high] - levels[low] >= threshold:
                direction = 1 if high > low else -1
                found.append((low, -1) if direction == 1 else (high, 1))
                current = number
        elif direction * (level - levels[current]) > 0:
            current = number
        elif direction * (levels[current] - level) >= threshold:
            found.append((current, direction))
            direction, current = -direction, number
    if direction:
        found.append((current, direction))
    positions = np.array([local[number] for number, _ in found], dtype=np.int_)
    return positions, np.array([sign for _, sign in found], dtype=np.int_)


@dataclass(frozen=True, eq=False)
class Turns:
    """The turning points of a curve in one run, and when it moves between them.

    Attributes:
        positions: (M,) indices of the extremes.
        signs: (M,) +1 high, -1 low, alternating.
        leaves: (M - 1,) last index at which the curve is still near each extreme but the last.
        arrives: (M - 1,) first index at which it is near the next one.
    """

    positions: Indices
    signs: Indices
    leaves: Indices
    arrives: Indices

    def cycles(self, rest: int) -> Indices:
        """(K, 5) start, turn and end of the cycles between extremes of sign ``rest``, and where the wide cycle lies.

        The rest is left out of the first three. The wide cycle goes back and on to the extremes, but holds no more rest
        on either side than half of the movement's duration.
        """
        first = np.flatnonzero(self.signs == rest)
        first = first[first + 2 < len(self.signs)]
        start, end = self.leaves[first], self.arrives[first + 1]
        room = (end - start) // 2
        wide_start = np.maximum(self.positions[first], start - room)
        wide_end = np.minimum(self.positions[first + 2], end + room)
        return np.stack([start, self.positions[first + 1], end, wide_start, wide_end], axis=1)


def turns(values: Array, threshold: float, rest_band: float, offset: int = 0) -> Turns:
    """The turning points of a curve without NaN; near is within ``rest_band`` of the way to the next extreme.

    Args:
        offset: added to all indices.
    """
    positions, signs = turning_points(values, threshold)
    if len(positions) < 2:
        return Turns(positions + offset, signs, positions[:0], positions[:0])
    lengths = np.diff(positions)
    way = np.repeat(np.diff(values[positions]), lengths)
    index = np.arange(positions[0], positions[-1])
    done = (values[index] - np.repeat(values[positions[:-1]], lengths)) / way
    starts = positions[:-1] - positions[0]
    leaves = np.maximum.reduceat(np.where(done <= rest_band, index, -1), starts)
    arrives = np.minimum.reduceat(np.where(done >= 1 - rest_band, index, len(values)), starts)
    return Turns(positions + offset, signs, leaves + offset, np.minimum(arrives, positions[1:]) + offset)


def normalised(values: Array, found: Indices) -> Array:
    """(K, PHASES, D) each wide cycle of (N, D) curves at evenly spaced phases, its own mean taken off."""
    start, end = found[:, 3:4], found[:, 4:]
    position = start + (end - start) * np.linspace(0, 1, PHASES)
    before = position.astype(np.int_)
    share = (position - before)[..., None]
    sampled = values[before] * (1 - share) + values[np.minimum(before + 1, len(values) - 1)] * share
    centred: Array = sampled - sampled.mean(axis=1, keepdims=True)
    return centred


def alike(first: Array, second: Array) -> Array:
    """(K,) likeness of pairs of normalised cycles: 1 the same, 0 unrelated, below 0 opposed."""
    difference = np.square(first - second).sum(axis=(1, 2))
    energy = np.square(first).sum(axis=(1, 2)) + np.square(second).sum(axis=(1, 2))
    return 1 - difference / np.maximum(energy, 1e-12)


def likeness(shapes: Array) -> Array:
    """(K,) likeness of each cycle to its neighbours (median over two before and two after); 0 for a single one.

    Neighbours and not the mean of all: people turn, and the camera's view of a movement turns with them.
    """
    count = len(shapes)
    if count < 2:
        return np.zeros(count)
    table = np.full((count, 4), np.nan)
    for distance in (1, 2):
        if count > distance:
            value = alike(shapes[distance:], shapes[:-distance])
            table[distance:, distance - 1] = value
            table[:-distance, distance + 1] = value
    return median_of_known(table)


def ways(values: Array, start: int, turn: int, end: int) -> tuple[Array, Array]:
    """The way from start to turn, and that from end to turn (backwards), of (N, D) curves.

    Returns:
        two (PHASES, D) arrays, their common mean taken off.
    """
    share = np.linspace(0, 1, PHASES)
    index = np.arange(len(values))
    there, back = (
        np.stack([np.interp(edge + (turn - edge) * share, index, column) for column in values.T], axis=1)
        for edge in (start, end)
    )
    middle = (there.mean(axis=0) + back.mean(axis=0)) / 2
    return there - middle, back - middle


def periodicity(values: Array, seen: NDArray[np.bool_], max_lag: int) -> Array:
    """(max_lag,) autocorrelation of (N, D) curves over all columns together, 1 at lag 0; 0 when nothing moves."""
    size = 1 << int(np.ceil(np.log2(2 * max(len(seen), 1))))

    def correlate(columns: Array) -> Array:
        spectrum = np.square(np.abs(np.fft.rfft(columns, size, axis=0))).sum(axis=1)
        return np.asarray(np.fft.irfft(spectrum, size)[:max_lag], dtype=np.float64)

    pairs = np.maximum(correlate(seen[:, None].astype(float)), 1.0)
    found = correlate(np.where(seen[:, None], values, 0.0)) / pairs
    return found / found[0] if found[0] > 0 else np.zeros(max_lag)
