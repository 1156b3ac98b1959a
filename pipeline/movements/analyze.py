"""From poses to a judged set: choose the movement and the person, find the repetitions, measure, judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from pipeline.kinematics import angles, camera_view
from pipeline.movements.base import (
    MeasuredRepetition,
    Measurements,
    Metric,
    Movement,
    MovementReport,
    Reading,
    RuleParameters,
)
from pipeline.movements.biceps_curl import BICEPS_CURL
from pipeline.movements.counted import COUNTED
from pipeline.movements.geometry import Phase, Unmeasurable, Window, sustained
from pipeline.movements.judge import judge_with
from pipeline.movements.jumping_jack import JUMPING_JACK
from pipeline.movements.lunge import LUNGE
from pipeline.movements.overhead_press import OVERHEAD_PRESS
from pipeline.movements.push_up import PUSH_UP
from pipeline.movements.recognize import Guess, by_network, recognize
from pipeline.movements.squat import SQUAT
from pipeline.poses import Array, PoseSequence, Recording
from pipeline.repetitions import Repetition, find_repetitions
from pipeline.signal import clean

MOVEMENTS: Mapping[str, Movement] = MappingProxyType(
    {
        movement.name: movement
        for movement in (SQUAT, PUSH_UP, LUNGE, OVERHEAD_PRESS, BICEPS_CURL, JUMPING_JACK, *COUNTED)
    }
)
"""Every movement by name; the last ones are counted without being judged."""

AUTO = "auto"
UNKNOWN = "unknown"
NOBODY = "Nobody was found in this clip."
TOO_SHORT = "Nobody was seen in more than one frame, and a movement needs a clip of some seconds."
_AS_GIVEN = "as given"  # movement and repetitions are the caller's
_PAUSE_FROM = 0.92  # of the way to the turning point: beyond it the movement counts as held


class MovementError(ValueError):
    """An analysis was asked for that there is not; the message says what there is."""


def movement_named(name: str) -> Movement:
    """The movement with this name; raises MovementError that lists them."""
    found = MOVEMENTS.get(name) or (_UNKNOWN if name == UNKNOWN else None)
    if found is None:
        raise MovementError(f"there is no movement {name!r}; choose auto or one of: {', '.join(MOVEMENTS)}.")
    return found


def analyze(
    source: Recording | PoseSequence,
    movement: str = AUTO,
    person: int | None = None,
    parameters: RuleParameters | str | None = None,
) -> MovementReport:
    """Repetitions, remarks and refusals of one person.

    Args:
        source: everybody in a clip, or one person.
        movement: a name in ``MOVEMENTS``, or "auto": what the rules recognise, else what the trained recogniser says.
        person: id; without it the one who moves most in the way asked for.
        parameters: thresholds of the movement's class, or a preset's name; None is "standard".

    Raises:
        MovementError: no such movement, person or preset, or parameters of another movement.
    """
    if isinstance(parameters, RuleParameters) and movement != AUTO:
        thresholds(movement_named(movement), parameters)  # fail before the long part
    return judge(measure(source, movement, person), parameters)


def judge(measurements: Measurements, parameters: RuleParameters | str | None = None) -> MovementReport:
    """The report of what was measured, under these thresholds: fast, and nothing is measured again.

    Raises:
        MovementError: no such preset, or parameters of another movement.
    """
    movement = movement_named(measurements.movement)
    return judge_with(movement, measurements, thresholds(movement, parameters))


def thresholds(movement: Movement, parameters: RuleParameters | str | None = None) -> RuleParameters:
    """A preset of the movement by name, or the given parameters, checked; None is "standard"."""
    if parameters is None or isinstance(parameters, str):
        name = parameters or "standard"
        if name not in movement.presets:
            raise MovementError(f"{movement.label} has no preset {name!r}; it has: {', '.join(movement.presets)}.")
        return movement.presets[name]
    wanted = type(movement.presets["standard"])
    if not isinstance(parameters, wanted):
        raise MovementError(f"{movement.label} needs {wanted.__name__}, got {type(parameters).__name__}.")
    return parameters


def measure(source: Recording | PoseSequence, movement: str = AUTO, person: int | None = None) -> Measurements:
    """The slow half: repetitions found and measured, ready for any number of ``judge``.

    Raises:
        MovementError: no such movement or person.
    """
    if movement != AUTO:
        movement_named(movement)
    people = _people(source, person)
    candidates = [(clean(one), one) for one in people if one.frames_seen > 1]
    if not candidates:
        return _nothing(movement, people)
    best: tuple[tuple[int, float], PoseSequence, PoseSequence, tuple[Repetition, ...], Guess] | None = None
    moving: list[int] = []
    for cleaned, raw in candidates:
        repetitions = tuple(find_repetitions(raw).repetitions)
        moving += [raw.person] if repetitions else []
        guess = recognize(cleaned, repetitions)
        size = _movement_size(movement, cleaned, repetitions, guess)
        if best is None or size > best[0]:
            best = (size, cleaned, raw, repetitions, guess)
    assert best is not None
    _, cleaned, raw, repetitions, guess = best
    if movement == AUTO and guess.movement == UNKNOWN and repetitions:
        learned = by_network(raw)
        guess = learned if learned.movement in MOVEMENTS else guess
    name = guess.movement if movement == AUTO else movement
    found = _measured(movement_named(name), cleaned, repetitions, movement, guess)
    others = [str(number) for number in moving if number != found.person]
    if not others:
        return found
    who = f"Person {others[0]} repeats" if len(others) == 1 else f"Persons {', '.join(others)} repeat"
    return replace(
        found, notes=(*found.notes, f"{who} a movement in this clip, too, which is not part of this report.")
    )


def measure_repetitions(
    sequence: PoseSequence, movement: str, repetitions: Sequence[Repetition], *, cleaned: bool = False
) -> Measurements:
    """The same for repetitions that are already known (from a file, or corrected by hand).

    Args:
        cleaned: the sequence went through ``signal.clean`` already.

    Raises:
        MovementError: no such movement.
    """
    definition = movement_named(movement)
    clear = sequence if cleaned else clean(sequence)
    return _measured(definition, clear, repetitions, _AS_GIVEN, Guess(movement, 1.0, "given"))


def _people(source: Recording | PoseSequence, person: int | None) -> Sequence[PoseSequence]:
    people = (source,) if isinstance(source, PoseSequence) else source.people
    if person is None:
        return people
    chosen = [one for one in people if one.person == person]
    if not chosen:
        ids = ", ".join(str(one.person) for one in people) or "nobody"
        raise MovementError(f"there is no person {person} in this clip; there is: {ids}.")
    return chosen


def _only_in_space(sequence: PoseSequence) -> bool:
    return sequence.xyz_m is not None and not np.isfinite(sequence.xy_px).any()


def _movement_size(
    movement: str, sequence: PoseSequence, repetitions: Sequence[Repetition], guess: Guess
) -> tuple[int, float]:
    """How much somebody moves in the way asked for: people who do it come first, then the larger movement."""
    if not repetitions:
        return (0, 0.0)
    asked = guess.movement != UNKNOWN if movement == AUTO else guess.movement == movement
    definition = movement_named(guess.movement if movement == AUTO else movement)
    sizes = []
    view = camera_view(sequence)
    for repetition in repetitions:
        window = Window(sequence, view, repetition, space=_only_in_space(sequence))
        try:
            effort = definition.effort(window)
        except Unmeasurable:
            continue
        if np.isfinite(effort).any():
            sizes.append(float(np.nanmax(effort) - np.nanmin(effort)))
    return (1 + asked, float(np.sum(sizes)))


def of_movement(
    movement: Movement, sequence: PoseSequence, repetitions: Sequence[Repetition]
) -> tuple[Repetition, ...]:
    """The repetitions of this movement, from rest to rest.

    The counter knows no movement. What moves less than the movement's ``least`` is left out (of a cut-off one, half of
    it). And a set that begins at the lowest point may come from lowest to lowest point: then the movement's own effort
    is larger where a repetition begins and ends than where it turns, and the repetitions are cut anew, around each of
    these points, to where the effort is back within a tenth of its range; what does not get there within the clip, or
    in one and a half times the usual time, is cut off.
    """
    time_s = sequence.time_s
    if not repetitions:
        return ()
    everything = replace(repetitions[0], start_s=float(time_s[0]), end_s=float(time_s[-1]))
    window = Window(sequence, camera_view(sequence), everything, space=_only_in_space(sequence))
    try:
        effort = sustained(movement.effort(window), window.time_s)
    except Unmeasurable:
        return tuple(repetitions)
    known = np.isfinite(effort)
    if known.sum() < 3:
        return tuple(repetitions)
    if movement.rules:  # what is only counted is told as it was found
        repetitions = _from_rest(repetitions, time_s, effort)

    def size(repetition: Repetition) -> float:
        inside = effort[known & (time_s >= repetition.start_s) & (time_s <= repetition.end_s)]
        return float(np.ptp(inside)) if len(inside) > 1 else np.inf  # unknown is no reason to leave it out

    return tuple(r for r in repetitions if size(r) >= movement.least * (1.0 if r.complete else 0.5))


def _from_rest(repetitions: Sequence[Repetition], time_s: Array, effort: Array) -> Sequence[Repetition]:
    known = np.isfinite(effort)
    whole = [repetition for repetition in repetitions if repetition.complete]
    if not whole:
        return repetitions

    def at(moments: Sequence[float]) -> Array:
        return np.interp(moments, time_s[known], effort[known])

    turns = at([repetition.turn_s for repetition in whole])
    ends = (at([r.start_s for r in whole]) + at([r.end_s for r in whole])) / 2
    inside = np.concatenate([effort[known & (time_s >= r.start_s) & (time_s <= r.end_s)] for r in whole])
    if not len(inside) or np.median(ends - turns) < 0.5 * float(np.ptp(inside)):
        return repetitions
    usual_s = float(np.median([repetition.duration_s for repetition in whole]))
    rest = float(np.median(turns))
    found = []
    halfway = (rest + float(np.median(at([r.start_s for r in whole] + [r.end_s for r in whole])))) / 2

    def held(first: float, last: float) -> bool:
        """Whether the effort stays on the far side between two moments."""
        return bool((effort[known & (time_s >= first) & (time_s <= last)] > halfway).all())

    for first, last in _furthest_points(repetitions, usual_s, held):
        inside = np.flatnonzero(known & (time_s >= first - 0.2 * usual_s) & (time_s <= last + 0.2 * usual_s))
        top = int(inside[np.argmax(effort[inside])]) if len(inside) else 0
        if not len(inside) or effort[top] <= halfway:
            continue
        back = rest + 0.1 * (effort[top] - rest)
        limit_s = 1.5 * usual_s + last - first
        start, start_seen = _reach(time_s, effort, top, -1, back, limit_s)
        end, end_seen = _reach(time_s, effort, top, 1, back, limit_s)
        near = min(whole, key=lambda repetition: abs(repetition.turn_s - time_s[top]))
        found.append(
            replace(near, start_s=float(time_s[start]), turn_s=float(time_s[top]), end_s=float(time_s[end]),
                    complete=start_seen and end_seen)
        )  # fmt: skip
    return found


def _furthest_points(
    repetitions: Sequence[Repetition], usual_s: float, held: Callable[[float, float], bool]
) -> list[tuple[float, float]]:
    """Where repetitions meet, (end of one, start of the next), and the ends that meet no other.

    They meet when little time lies between them, or when the furthest point is held all that time.
    """
    points: list[tuple[float, float]] = []
    for number, repetition in enumerate(repetitions):
        cut = not repetition.complete  # the outer end of a cut-off repetition is where it was lost, not where it turned
        gap_s = repetition.start_s - points[-1][1] if points else np.inf
        if gap_s < 0.5 * usual_s or (points and held(points[-1][1], repetition.start_s)):
            points[-1] = (points[-1][0], repetition.start_s)
        elif not (cut and number == 0):
            points.append((repetition.start_s, repetition.start_s))
        if not (cut and number == len(repetitions) - 1):
            points.append((repetition.end_s, repetition.end_s))
    return points


def _reach(time_s: Array, effort: Array, start: int, step: int, level: float, limit_s: float) -> tuple[int, bool]:
    """The first frame from ``start`` on, forwards or backwards, at or below ``level``; and whether there is one."""
    frame = start
    while 0 <= frame + step < len(time_s) and abs(time_s[frame + step] - time_s[start]) <= limit_s:
        frame += step
        if effort[frame] <= level:
            return frame, True
    return frame, False


def _measured(
    movement: Movement, sequence: PoseSequence, repetitions: Sequence[Repetition], asked: str, guess: Guess
) -> Measurements:
    space = _only_in_space(sequence)
    view = camera_view(sequence)
    label, confidence = view.main()
    if asked != _AS_GIVEN:
        repetitions = of_movement(movement, sequence, repetitions)
    measured = tuple(
        _measure_repetition(movement, _turned(movement, Window(sequence, view, repetition, space=space)))
        for repetition in repetitions
    )
    given = asked != AUTO
    notes: tuple[str, ...] = ()
    if given and guess.movement not in (movement.name, UNKNOWN) and guess.confidence >= 0.7:
        other = movement_named(guess.movement).label
        notes = (f"These repetitions look more like this movement: {other}.",)
    return Measurements(
        movement=movement.name,
        chosen="given" if given else guess.reason,
        movement_confidence=1.0 if given else guess.confidence,
        person=sequence.person,
        view="space" if space else label,
        view_confidence=1.0 if space else confidence,
        repetitions=measured,
        time_s=sequence.time_s,
        curves=_curves(movement, sequence, space),
        notes=notes,
    )


def _measure_repetition(movement: Movement, window: Window) -> MeasuredRepetition:
    repetition = window.repetition
    window.phases = _phases(movement, window)
    readings: list[Reading] = []
    for metric in movement.metrics:
        readings += _readings(metric, window)
    return MeasuredRepetition(
        repetition.start_s, repetition.turn_s, repetition.end_s, repetition.complete, repetition.confidence,
        window.view, window.yaw_deg, window.phases, tuple(readings),
    )  # fmt: skip


def _turned(movement: Movement, window: Window) -> Window:
    """The window with its turning point where this movement has gone furthest.

    The repetitions were found on whatever curve showed them best; its extreme may lie beside the movement's own.
    """
    try:
        effort = sustained(movement.effort(window), window.time_s)
    except Unmeasurable:
        return window
    known = np.isfinite(effort)
    if known.sum() < 3 or not window.repetition.complete:
        return window
    rest, top = float(np.nanmin(effort)), float(np.nanmax(effort))
    held = known & (effort >= top - 0.05 * (top - rest))
    first = last = int(np.nanargmax(effort))
    while first > 0 and held[first - 1]:
        first -= 1
    while last < len(held) - 1 and held[last + 1]:
        last += 1
    if first == 0 or last == len(held) - 1:
        return window  # it is furthest at an end: this is not the movement, or it is cut off
    return window.turning_at(float(window.time_s[first] + window.time_s[last]) / 2)


def _readings(metric: Metric, window: Window) -> list[Reading]:
    """The metric's readings; a refusal where it cannot be had or its error is too large."""
    try:
        if len(window) < 3:
            raise Unmeasurable("too few frames")
        found = metric.measure(window)
    except Unmeasurable as reason:
        return [Reading(metric.name, refused=str(reason))]
    readings = []
    for side, (estimate, joints) in found.items():
        values = (estimate.value, estimate.error, estimate.time_s, joints, estimate.clarity)
        if not math.isfinite(estimate.value):
            readings.append(Reading(metric.name, side, refused="its key points were not seen"))
        elif not estimate.error <= metric.max_error:
            unit = f" {metric.unit}" if metric.unit and metric.unit != "°" else metric.unit
            refused = f"the key points or the view are too unsure (± {estimate.error:.2g}{unit})"
            readings.append(Reading(metric.name, side, joints=joints, refused=refused))
        else:
            readings.append(Reading(metric.name, side, *values))
    if all(reading.refused for reading in readings):
        return [reading for reading in readings if reading.side == "both"][:1] or readings[:1]
    return readings


def _phases(movement: Movement, window: Window) -> tuple[Phase, ...]:
    """The way to the turning point, the time held there, and the way back."""
    repetition = window.repetition
    try:
        effort = sustained(movement.effort(window), window.time_s)
    except Unmeasurable:
        return ()
    if not np.isfinite(effort).any() or len(effort) < 3:
        return ()
    rest = float(np.nanmin(effort))
    top = float(np.nanmax(effort[window.bottom])) if np.isfinite(effort[window.bottom]).any() else float("nan")
    if not top > rest:
        return ()
    held = (effort - rest) / (top - rest) >= _PAUSE_FROM
    first = last = window.turn
    while first > 0 and held[first - 1]:
        first -= 1
    while last < len(held) - 1 and held[last + 1]:
        last += 1
    there, back = float(window.time_s[first]), float(window.time_s[last])
    down, pause, up = movement.phases
    parts = (
        Phase(down, repetition.start_s, there),
        Phase(pause, there, back),
        Phase(up, back, repetition.end_s),
    )
    return tuple(part for part in parts if part.end_s > part.start_s)


def _curves(movement: Movement, sequence: PoseSequence, space: bool) -> Mapping[str, Array]:
    """The angles worth looking at, in degrees."""
    if not movement.curves:
        return {}
    found = angles(sequence, space=space)
    return {f"{name}_deg": found[name].value_deg for name in movement.curves}


def _nothing(movement: str, people: Sequence[PoseSequence]) -> Measurements:
    name = UNKNOWN if movement == AUTO else movement
    time_s = people[0].time_s if people else np.empty(0)
    person = people[0].person if people else 0
    chosen = "given" if movement != AUTO else "nobody was seen"
    notes = (TOO_SHORT if any(one.frames_seen for one in people) else NOBODY,)
    return Measurements(name, chosen, float(movement != AUTO), person, "unknown", 0.0, (), time_s, {}, notes)


def _no_effort(window: Window) -> Array:
    return np.full(len(window), np.nan)


_UNKNOWN = Movement(UNKNOWN, "unknown movement", _no_effort, curves=("left_knee_flexion", "right_knee_flexion",
                    "left_elbow_flexion", "right_elbow_flexion", "trunk"))  # fmt: skip
