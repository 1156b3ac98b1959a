"""Which curve carries the movement, and where its repetitions are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.poses import Array, PoseSequence
from pipeline.repetitions import cycles as cyc
from pipeline.repetitions.cycles import Indices, Turns
from pipeline.repetitions.results import Repetition, RepetitionParameters, RepetitionSet
from pipeline.repetitions.signals import (
    DRIFT_S,
    GRID_HZ,
    SIDE_ANGLES,
    SIGNAL_NAMES,
    Signals,
    candidate_signals,
    smoothed,
)

_Reading = tuple[str, tuple[Turns, ...]]  # a curve's name, its turning points run by run


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One reading of the movement: a curve, its turning points by run, the cycles and how alike they are."""

    name: str
    turns: tuple[Turns, ...]
    rest: int
    cycles: Indices
    likeness: Array
    kept: NDArray[np.bool_]
    score: float


def find_repetitions(
    sequence: PoseSequence, parameters: RepetitionParameters | None = None, *, signal: str | None = None
) -> RepetitionSet:
    """The repetitions of whatever movement this person repeats, and the curve that shows them best.

    Every candidate curve (``SIGNAL_NAMES``) is read with several hystereses. A reading scores by how much of all the
    body's movement lies in its cycles, how alike these are over the whole posture (each to its neighbours), how even
    their amplitudes are, and how well their duration agrees with the posture's autocorrelation; the best one is taken,
    and cycles that don't fit it are left out. A single repetition has nothing to be compared with, so it must run back
    as it came, be large, and end where it began. Where a repetition turns, the whole posture decides.

    Args:
        sequence: one person; any frame rate, size and place in the picture.
        parameters: ``RepetitionParameters()`` when left out.
        signal: read only this curve, one of ``SIGNAL_NAMES``.

    Raises:
        ValueError: ``signal`` is not one of the names.
    """
    if signal is not None and signal not in SIGNAL_NAMES:
        raise ValueError(f"There is no signal {signal!r}; choose one of: {', '.join(SIGNAL_NAMES)}.")
    rules = parameters or RepetitionParameters()
    signals = candidate_signals(sequence, rules.max_gap_s)
    if not len(signals):
        return RepetitionSet.none(sequence.person)
    names = SIGNAL_NAMES if signal is None else (signal,)
    motion = _motion(signals, rules)
    readings = [reading for name in names for reading in _readings(signals, name, rules)]
    best = _best_set(signals, readings, motion, rules, _convincing) or _single(signals, readings, motion, rules)
    if best is None and motion.speed > rules.restless:
        calm = candidate_signals(sequence, rules.max_gap_s, despike_s=rules.despike_s)
        calm_readings = [reading for name in names for reading in _readings(calm, name, rules)]
        best = _best_set(calm, calm_readings, _motion(calm, rules), rules, _convincing)
        signals = signals if best is None else calm
    best = best or _best_set(signals, readings, motion, rules, _large)
    if best is None:
        return RepetitionSet.none(sequence.person)
    return _result(sequence.person, signals, best, rules)


def _best_set(
    signals: Signals,
    readings: Sequence[_Reading],
    motion: _Motion,
    rules: RepetitionParameters,
    believed: Callable[[Signals, _Motion, _Candidate, RepetitionParameters], bool],
) -> _Candidate | None:
    """The reading that explains the movement best, of those that are believed."""
    scored = [candidate for reading in readings if (candidate := _scored(signals, reading, motion, rules)) is not None]
    for candidate in sorted(scored, key=lambda one: -one.score)[:TRIES]:
        if believed(signals, motion, candidate, rules):
            return _from_rest(signals, candidate, motion, rules)
    return None


CLEARLY = 0.8  # a likeness below this share of the other's decides between two readings
HELD_LONGER = 2.4  # the end at which more than this many times the time of the other is spent is the rest
TRIES = 20  # readings, best first, that are looked at before a set is given up


@dataclass(frozen=True, eq=False)
class _Motion:
    """The whole posture over time: its spaces, how far it has travelled in each, and at which lags it repeats."""

    spaces: tuple[Array, ...]
    paths: tuple[Array, ...]
    rhythm: Array
    symmetric_rhythm: Array

    @property
    def speed(self) -> float:
        """Mean movement of the whole posture, in trunk lengths a second."""
        return float(self.paths[0][-1]) * GRID_HZ / len(self.paths[0])

    def share(self, found: Indices) -> Array:
        """(K,) the part of all movement that lies in each wide cycle."""
        parts = [(path[found[:, 4]] - path[found[:, 3]]) / max(path[-1], 1e-9) for path in self.paths]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)


def _motion(signals: Signals, rules: RepetitionParameters) -> _Motion:
    seen = np.isfinite(signals.values).any(axis=1)
    spaces = (signals.body, signals.symmetric)
    lags = max(1, min(len(signals), int(rules.max_duration_s * GRID_HZ) + 3))
    body, symmetric = (cyc.periodicity(space - smoothed(space, DRIFT_S), seen, lags) for space in spaces)
    paths = tuple(_path_length(space, seen) for space in spaces)
    return _Motion(spaces, paths, np.maximum(body, symmetric), symmetric)


def _path_length(space: Array, seen: NDArray[np.bool_]) -> Array:
    """(N,) how far the posture has travelled since the start; what was not seen is not movement."""
    step = np.linalg.norm(np.diff(space, axis=0), axis=1)
    step[~(seen[1:] & seen[:-1])] = 0.0
    return np.concatenate([[0.0], np.cumsum(step)])


def _readings(signals: Signals, name: str, rules: RepetitionParameters) -> list[_Reading]:
    """The turning points of one curve, by run, for each hysteresis that finds different ones."""
    curve = signals[name]
    finite = curve[np.isfinite(curve)]
    if len(finite) < 3:
        return []
    low, high = np.percentile(finite, (2.5, 97.5))
    readings, known = [], set()
    pieces = [
        (start + a, curve[start + a : start + b]) for start, end in signals.runs for a, b in _finite(curve[start:end])
    ]
    for share in rules.hysteresis:
        threshold = max(share * (high - low), rules.min_travel / 3)
        turns = tuple(cyc.turns(piece, threshold, rules.rest_band, offset) for offset, piece in pieces)
        key = b"|".join(run.positions.tobytes() for run in turns)
        if key not in known and any(len(run.positions) > 2 for run in turns):
            known.add(key)
            readings.append((name, turns))
    return readings


def _finite(values: Array) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.isfinite(values).astype(int), [0]])))
    return [(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a >= 3]


def _cycles(turns: tuple[Turns, ...], rest: int) -> Indices:
    found = [run.cycles(rest) for run in turns]
    return np.concatenate(found) if found else np.empty((0, 5), dtype=np.int_)


def _possible(signals: Signals, found: Indices, rules: RepetitionParameters) -> NDArray[np.bool_]:
    """Which cycles have a repetition's duration and end where they began."""
    wide_s, duration_s = (found[:, 4] - found[:, 3]) / GRID_HZ, (found[:, 2] - found[:, 0]) / GRID_HZ
    moved = signals.boxes[found[:, 2]] - signals.boxes[found[:, 0]]
    shift = np.minimum(np.abs(moved[:, 0]), np.abs(moved[:, 2]))  # both sides must have moved on
    return (wide_s >= rules.min_duration_s) & (duration_s <= rules.max_duration_s) & ~(shift > rules.max_shift)


def _amplitudes(curve: Array, found: Indices) -> Array:
    """(K,) the smaller of the way there and the way back."""
    return np.minimum(np.abs(curve[found[:, 1]] - curve[found[:, 0]]), np.abs(curve[found[:, 1]] - curve[found[:, 2]]))


def _scored(
    signals: Signals,
    reading: _Reading,
    motion: _Motion,
    rules: RepetitionParameters,
    rest: int | None = None,
) -> _Candidate | None:
    """A reading's cycles, which of them belong together, and how well they explain the movement."""
    name, turns = reading
    if rest is None:
        rest = 1 if len(_cycles(turns, 1)) >= len(_cycles(turns, -1)) else -1
    found = _cycles(turns, rest)
    found = found[_possible(signals, found, rules)]
    if len(found) < 2:
        return None
    each = [cyc.likeness(cyc.normalised(space, found)) for space in motion.spaces]
    likeness = max(each, key=lambda values: float(np.median(values)))
    kept = likeness >= max(rules.min_likeness, rules.min_relative_likeness * float(np.median(likeness)))
    if not kept.any():
        return None
    duration = (found[:, 4] - found[:, 3]).astype(float)
    amplitude = _amplitudes(signals[name], found)
    typical_s, typical = np.median(duration[kept]), np.median(amplitude[kept])
    large = amplitude >= rules.min_amplitude * typical
    ratio = duration / typical_s
    kept &= large & (ratio < rules.max_duration_ratio) & (ratio > 1 / rules.max_duration_ratio)
    kept |= _between(found, kept) & large & (ratio < 2) & (ratio > 0.5)
    count = int(kept.sum())
    if not count:
        return None
    lag = int(np.median(duration[kept]))
    regular = float(motion.rhythm[max(lag - 2, 0) : lag + 3].max(initial=0.0))
    halves = float(motion.symmetric_rhythm[lag // 2 : lag // 2 + 2].max(initial=0.0))  # two repetitions in one cycle
    explained = float((np.square(likeness.clip(0)) * motion.share(found) * kept).sum())
    evenness = float(np.exp(-rules.uneven * np.std(amplitude[kept]) / max(float(np.mean(amplitude[kept])), 1e-9)))
    score = explained * (regular + 0.1) * (1 - halves) * evenness * count / (count + 1)
    return _Candidate(name, turns, rest, found, likeness, kept, score)


def _travel(signals: Signals, found: Indices) -> tuple[Array, Array, Array]:
    """(K,) each: how far the joint that moves most goes, the mean of left and right, and both of them together."""
    left, right = signals.places[:, 1::2], signals.places[:, 2::2]
    means = _extent((left + right) / 2, found)
    together = np.minimum(means, np.minimum(_extent(left, found), _extent(right, found)))  # NaN: one side is hidden
    anyone = _extent(signals.places, found)
    return np.fmax.reduce(anyone, axis=1), np.fmax.reduce(means, axis=1), np.fmax.reduce(together, axis=1)


def _bend(signals: Signals, found: Indices) -> Array:
    """(K,) by how many radians the joint that bends most changes its angle in each cycle."""
    bends = [signals[name] for name in SIDE_ANGLES]
    return np.asarray(np.fmax.reduce(_extent(np.stack(bends, axis=1), found), axis=1), dtype=np.float64)


def _between(found: Indices, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(K,) which cycles fill the room between two kept ones without a break: in the midst of a set."""
    joined = found[1:, 3] - found[:-1, 4] <= (found[1:, 4] - found[1:, 3]) // 4
    before, after = np.zeros_like(kept), np.zeros_like(kept)
    before[1:] = joined & kept[:-1]
    after[:-1] = joined & kept[1:]
    return before & after


def _extent(values: Array, found: Indices) -> Array:
    """(K, C) highest minus lowest of each column in each cycle."""
    flat = values.reshape(len(values), -1)
    return np.array(
        [np.fmax.reduce(flat[a : b + 1]) - np.fmin.reduce(flat[a : b + 1]) for a, _, b, *_ in found.tolist()]
    )


def _gaps(space: Array, found: Indices) -> Array:
    """(K,) how far the posture at the end is from that at the start, over how far that at the turn is."""
    start, turn, end = (space[found[:, column]] for column in range(3))
    away = np.minimum(np.linalg.norm(turn - start, axis=1), np.linalg.norm(turn - end, axis=1))
    return np.asarray(np.linalg.norm(end - start, axis=1) / np.maximum(away, 1e-9), dtype=np.float64)


def _convincing(signals: Signals, motion: _Motion, candidate: _Candidate, rules: RepetitionParameters) -> bool:
    """Whether a set is alike enough for its size, and moves enough."""
    kept = candidate.cycles[candidate.kept]
    count, likeness = len(kept), candidate.likeness[candidate.kept].mean()
    if count < 2:
        return False
    gap = float(np.median(_gaps(signals.body, kept)))
    anyone, _, together = (float(np.median(travel)) for travel in _travel(signals, kept))
    share = float(motion.share(kept).sum())
    strong = candidate.score >= rules.strong_score and share >= rules.strong_share
    if strong and together >= rules.strong_travel and gap <= rules.strong_gap:
        return True
    plain = gap <= rules.plain_gap and together >= rules.plain_travel and share >= rules.plain_share
    enough = (rules.min_set_likeness + rules.few_likeness / count) * (rules.plain_ease if plain else 1)
    if gap > rules.open_gap or likeness < enough:
        return False
    if together >= rules.min_travel:
        return True
    bend = float(np.median(_bend(signals, kept)))
    one_sided = anyone >= rules.min_one_sided_travel and bend >= rules.min_one_sided_bend
    return bool(one_sided and share + likeness >= rules.one_sided_clear)


def _large(signals: Signals, motion: _Motion, candidate: _Candidate, rules: RepetitionParameters) -> bool:
    """Whether a set is so large, and returns so well, that it is one although its cycles are little alike."""
    kept = candidate.cycles[candidate.kept]
    if len(kept) < 2 or candidate.score < rules.large_score:
        return False
    gap, together = np.median(_gaps(signals.body, kept)), np.median(_travel(signals, kept)[2])
    share = motion.share(kept).sum()
    return bool(gap <= rules.large_gap and together >= rules.large_travel and share >= rules.large_share)


def _from_rest(signals: Signals, candidate: _Candidate, motion: _Motion, rules: RepetitionParameters) -> _Candidate:
    """The same reading with its cycles beginning at rest: where they are clearly more alike, else where clearly more
    time is spent, else where the set begins (that stays as it is while a set goes on).
    """
    other = _scored(signals, (candidate.name, candidate.turns), motion, rules, -candidate.rest)
    if other is None or not _convincing(signals, motion, other, rules):
        return candidate
    likeness = [float(one.likeness[one.kept].mean()) for one in (candidate, other)]
    if min(likeness) < CLEARLY * max(likeness):
        return candidate if likeness[0] > likeness[1] else other
    curve, kept = signals[candidate.name], candidate.cycles[candidate.kept]
    low, high = np.sort(np.median(curve[kept[:, :2]], axis=0))
    level = (curve[np.isfinite(curve)] - low) / max(high - low, 1e-9)
    above, below = int((level > 0.75).sum()), int((level < 0.25).sum())
    if max(above, below) > HELD_LONGER * min(above, below):
        return candidate if candidate.rest == (1 if above > below else -1) else other
    begins = [int(one.cycles[one.kept][0, 0]) for one in (candidate, other)]
    return candidate if begins[0] < begins[1] else other


def _single(
    signals: Signals, readings: Sequence[_Reading], motion: _Motion, rules: RepetitionParameters
) -> _Candidate | None:
    """One lone repetition: it must run back as it came, end as it began, be large and be most of what happens."""
    best: _Candidate | None = None
    for name, turns in readings:
        for rest in (1, -1):
            found = _cycles(turns, rest)
            found = found[_possible(signals, found, rules)]
            found = found[motion.share(found) >= rules.single_share]
            for cycle in found:
                score = _lone_score(signals, motion, cycle, rules)
                if score >= rules.single_score and (best is None or score > best.score):
                    likeness = np.array([min(score, 1.0)])
                    best = _Candidate(name, turns, rest, cycle[None], likeness, np.ones(1, dtype=bool), score)
    return best


def _lone_score(signals: Signals, motion: _Motion, cycle: Indices, rules: RepetitionParameters) -> float:
    """0 for what is no lone repetition, else likeness of both ways x closeness of both ends x share of all movement."""
    share = float(motion.share(cycle[None])[0])
    if share < rules.single_share:
        return 0.0
    start, turn, end = cycle[:3].tolist()
    ways = [cyc.ways(space, start, turn, end) for space in motion.spaces]
    reversal = min(float(cyc.alike(there[None], back[None])[0]) for there, back in ways)
    gap = float(_gaps(signals.body, cycle[None])[0])
    anyone, both, _ = (float(value[0]) for value in _travel(signals, cycle[None]))
    even = both >= rules.single_symmetry * anyone and both >= rules.single_travel
    one_limb = both < rules.min_travel and float(_bend(signals, cycle[None])[0]) >= rules.min_one_sided_bend
    if not (even or one_limb) or reversal < rules.single_likeness or gap > rules.single_gap:
        return 0.0
    return reversal * share * (1 - gap)


def _result(person: int, signals: Signals, best: _Candidate, rules: RepetitionParameters) -> RepetitionSet:
    curve = signals[best.name]
    kept = best.cycles[best.kept]
    amplitude = float(np.median(_amplitudes(curve, kept)))
    edges = {int(run.positions[end]) for run in best.turns if len(run.positions) for end in (0, -1)}
    repetitions = [
        _repetition(person, signals, curve, cycle, likeness, bool(edges & set(cycle[3:].tolist())), rules)
        for cycle, likeness in zip(kept, best.likeness[best.kept], strict=True)
    ]
    repetitions += _cut_off(person, signals, best, amplitude, rules)
    repetitions.sort(key=lambda repetition: repetition.turn_s)
    complete = [repetition.duration_s for repetition in repetitions if repetition.complete]
    return RepetitionSet(
        person,
        tuple(repetitions),
        best.name,
        signals.time_s,
        curve,
        "rad" if best.name.endswith("_angle") else "trunk lengths",
        float(np.median(complete)) if complete else float("nan"),
    )


def _repetition(
    person: int,
    signals: Signals,
    curve: Array,
    cycle: Indices,
    likeness: float,
    at_edge: bool,
    rules: RepetitionParameters,
) -> Repetition:
    """A cycle as a repetition; incomplete when a run's edge cuts one of its two ways short."""
    there, back = np.abs(curve[cycle[1]] - curve[cycle[[0, 2]]]).tolist()
    start_s, end_s = signals.time_s[cycle[[0, 2]]].tolist()
    turn_s = _turn_s(signals, cycle)
    complete = not at_edge or min(there, back) >= rules.complete_share * max(there, back)
    confidence = float(np.clip(likeness, 0, 1))
    return Repetition(person, start_s, turn_s, end_s, complete, confidence, max(there, back))


TURNED = 0.95  # of the way to the furthest posture: all of it counts as the turn, and its middle is told


def _turn_s(signals: Signals, cycle: Indices) -> float:
    """When the whole posture is furthest on its way, whichever curve carries the set; the middle of a hold."""
    start, turn, end = cycle[:3].tolist()
    body = signals.body[start : end + 1]
    rest = (body[0] + body[-1]) / 2
    way = (body - rest) @ (body[turn - start] - rest)
    furthest = int(np.argmax(way))
    if not 0 < furthest < len(way) - 1:
        return float(signals.time_s[turn])
    short = np.flatnonzero(way < TURNED * way[furthest])
    first = short[short < furthest].max(initial=-1) + 1
    last = short[short > furthest].min(initial=len(way)) - 1
    return float(signals.time_s[start + first] + signals.time_s[start + last]) / 2


def _cut_off(
    person: int, signals: Signals, best: _Candidate, amplitude: float, rules: RepetitionParameters
) -> list[Repetition]:
    """What is seen of repetitions that were under way when a run began or ended."""
    curve, found = signals[best.name], []
    kept = best.cycles[best.kept]
    confidence = 0.5 * float(np.median(best.likeness[best.kept]).clip(0, 1))
    limit = int(np.max(kept[:, 2] - kept[:, 0]))
    for run in best.turns:
        for turn, start, end in _open_ends(run, curve, best.rest, rules.min_amplitude * amplitude):
            way = float(abs(curve[end if turn == start else start] - curve[turn]))
            if way >= rules.cut_off_share * amplitude and end - start <= limit and turn not in kept[:, 1]:
                start_s, turn_s, end_s = signals.time_s[[start, turn, end]].tolist()
                found.append(Repetition(person, start_s, turn_s, end_s, False, confidence, way))
    return found


def _open_ends(run: Turns, curve: Array, rest: int, enough: float) -> list[tuple[int, int, int]]:
    """Turn, start and end of what a run shows of a repetition at its beginning and at its end.

    A way there, or back, of less than ``enough`` does not count as seen.
    """
    if len(run.positions) < 2:
        return []
    ways = np.abs(np.diff(curve[run.positions]))
    first = 0 if run.signs[0] == -rest else 1 if ways[0] < enough else None
    last = len(ways) if run.signs[-1] == -rest else len(ways) - 1 if ways[-1] < enough else None
    ends = []
    if first is not None and first < len(ways):
        turn = int(run.positions[first])
        ends.append((turn, turn, int(run.arrives[first])))
    if last is not None and last > 0:
        turn = int(run.positions[last])
        ends.append((turn, int(run.leaves[last - 1]), turn))
    return ends
