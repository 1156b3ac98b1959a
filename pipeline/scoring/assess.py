"""The chain: poses, ugly-2D gate, 2D to Kinect, depth, frame trimming, bad-3D gate, score.

Each stage is a module with a network of its own; a gate that refuses stops the chain, and what was found until then
is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pipeline.media import Frame
from pipeline.movements.base import MovementReport
from pipeline.movements.recognize import Guess
from pipeline.poses import SCHEMA_VERSION, Array, PoseSequence, Recording
from pipeline.recognition.classes import EXERCISES as RECOGNISED
from pipeline.recognition.classes import UNKNOWN, label
from pipeline.scoring import bad_3d, ugly_2d
from pipeline.scoring import lift as lifting
from pipeline.scoring.canonical import Canonical, CanonicalError, canonical
from pipeline.scoring.chair import SITTING, SQUAT
from pipeline.scoring.exercises import ARMS, EXERCISES, Exercise, band, exercise_named
from pipeline.scoring.models import SCORERS, GateModel, own_scorer
from pipeline.scoring.scorer import Reason, RepetitionScore, score_repetition, scorer
from pipeline.scoring.trimming import Trimmed, trim, trimmer
from pipeline.scoring.verdict import Verdict
from pipeline.skeletons import KINECT_13

AUTO = "auto"
GIVEN = "given"  # the pose model's own points in space
# Of what the recogniser can name, the exercises that none of the ten is (a front raise is like scaption), and how sure
# it must be: of 480 sets of UI-PRMD from simulated video two are so sure and wrong (benchmarks/auto_exercise.md).
NEVER_SCORED = frozenset(RECOGNISED) - {"squat", "lunge", "front_raise"}
NAMED_FROM = 0.7
LEG_EXERCISES = tuple(exercise.name for exercise in EXERCISES.values() if exercise.free == ARMS)
_VOTES = 12  # repetitions that say which exercise it is
LIFTS = (*lifting.MODELS, GIVEN)
STAGES = {
    "pose": "Poses",
    "ugly_2d": "2D good enough?",
    "to_kinect": "2D to Kinect",
    "depth": "Depth",
    "trimming": "Frame trimming",
    "bad_3d": "3D good enough?",
    "scoring": "Score",
}
DERIVED = (
    "The score is derived from how far UI-PRMD's repetitions lie from other people's correct ones; "
    "it is not a clinician's grade."
)


class AssessmentError(ValueError):
    """What was asked for makes no sense; the message says what to do."""


@dataclass(frozen=True)
class ChainOptions:
    """How a clip is scored.

    exercise: one of the ten by name, or auto for the one that it is recognised as.
    person: id; without it the one who is seen longest.
    lift: temporal, dense (the ported networks), or given for the pose model's own points in space.
    scorer: ensemble (of the next two), forest, cnn_lstm (ported), transformer, or the folder of a scorer of one's own.
    height_m: of the person, for lengths in metres; the score does not depend on it.
    """

    exercise: str = AUTO
    person: int | None = None
    lift: str = LIFTS[0]
    scorer: str = SCORERS[0]
    height_m: float | None = None

    def __post_init__(self) -> None:
        if self.exercise != AUTO:
            exercise_named(self.exercise)
        if self.lift not in LIFTS:
            raise AssessmentError(f"There is no lift {self.lift!r}; choose {', '.join(LIFTS)}.")
        if self.scorer not in SCORERS and not own_scorer(self.scorer):
            known = " or ".join(SCORERS)
            raise AssessmentError(f"There is no scorer {self.scorer!r}; choose {known}, or the folder of your own.")


@dataclass(frozen=True)
class StageResult:
    """What one stage said. ``verdict`` is None for a stage that the chain did not reach."""

    name: str
    verdict: Verdict | None = None
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """In words."""
        return STAGES[self.name]


@dataclass(frozen=True, eq=False)
class Assessment:
    """A clip's score with everything behind it.

    Attributes:
        person: id; exercise: its name, "" when none was found; chosen: "given" or "recognised".
        stages: all seven in order.
        score, low, high: the median repetition's, None when the chain was stopped; band: its name.
        repetitions: scored ones in time order.
        trimmed: what the trimmer says; None when it was not reached.
        flat, space: the Kinect-13 skeleton in the picture and in metres; None when not reached.
        options: as asked for.
        target: what the score means.
    """

    person: int
    exercise: str
    chosen: str
    stages: tuple[StageResult, ...]
    score: float | None
    low: float | None
    high: float | None
    band: str
    repetitions: tuple[RepetitionScore, ...]
    trimmed: Trimmed | None
    flat: PoseSequence | None
    space: PoseSequence | None
    options: ChainOptions
    target: str = DERIVED

    @property
    def refusal(self) -> tuple[str, ...]:
        """Why there is no score; empty when there is one."""
        for stage in self.stages:
            if stage.verdict is not None and not stage.verdict.ok:
                return stage.verdict.reasons
        return ()

    @property
    def exercise_label(self) -> str:
        """In words; "" when no exercise was found."""
        return EXERCISES[self.exercise].label if self.exercise else ""

    def to_json(self) -> dict[str, Any]:
        """Plain values: verdicts, score, interval, band, reasons, segments."""
        return {
            "schema_version": SCHEMA_VERSION,
            "person": self.person,
            "exercise": self.exercise,
            "exercise_label": self.exercise_label,
            "chosen": self.chosen,
            "options": asdict(self.options),
            "verdicts": [
                {
                    "stage": stage.name,
                    "label": stage.label,
                    "reached": stage.verdict is not None,
                    "ok": None if stage.verdict is None else stage.verdict.ok,
                    "reasons": [] if stage.verdict is None else list(stage.verdict.reasons),
                    "measurements": {} if stage.verdict is None else plain(stage.verdict.measurements),
                    "seconds": round(stage.seconds, 4),
                }
                for stage in self.stages
            ],
            "score": _rounded(self.score),
            "interval": None if self.low is None else [_rounded(self.low), _rounded(self.high)],
            "band": self.band,
            "reasons": [
                {"repetition": number, **_reason(reason)}
                for number, repetition in enumerate(self.repetitions, 1)
                for reason in repetition.reasons
            ],
            "repetitions": [
                {
                    "number": number,
                    "start_s": _rounded(r.start_s),
                    "end_s": _rounded(r.end_s),
                    "score": _rounded(r.score),
                    "interval": [_rounded(r.low), _rounded(r.high)],
                    "band": r.band,
                    "explained": _rounded(r.explained),
                    "reasons": [_reason(reason) for reason in r.reasons],
                }
                for number, r in enumerate(self.repetitions, 1)
            ],
            "segments": [
                {"start_s": _rounded(s.start_s), "end_s": _rounded(s.end_s), "repetitions": len(s.repetitions)}
                for s in (self.trimmed.segments if self.trimmed else ())
            ],
            "target": self.target,
        }


def plain(values: Any) -> Any:
    """JSON-able: mappings, sequences and numbers, with None for what is no number."""
    if isinstance(values, Mapping):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain(value) for value in values]
    if isinstance(values, float | np.floating):
        return round(float(values), 5) if np.isfinite(values) else None
    return values


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _reason(reason: Reason) -> dict[str, Any]:
    return {**plain(asdict(reason)), "time_s": _rounded(reason.time_s)}


def assess(
    source: Recording | PoseSequence,
    options: ChainOptions | None = None,
    frames: Iterable[Frame] | None = None,
    told: Callable[[StageResult], None] = lambda _: None,
) -> Assessment:
    """Run the chain on poses that exist.

    Args:
        source: everybody in a clip, or one person.
        options: exercise, person and models.
        frames: the clip's pictures for the ugly-2D gate; None judges by the poses alone.
        told: hears of every stage when it has its verdict.

    Raises:
        AssessmentError: no such person, or a lift that these poses do not have.
        LiftError, ModelMissingError: weights are missing.
    """
    chain = _Chain(options or ChainOptions(), told)
    sequence = _person(source, chain.options.person)
    return chain.run(sequence, frames)


def _person(source: Recording | PoseSequence, person: int | None) -> PoseSequence | None:
    if isinstance(source, PoseSequence):
        return source
    if person is not None:
        found = next((one for one in source.people if one.person == person), None)
        if found is None:
            there = ", ".join(str(one.person) for one in source.people) or "nobody"
            raise AssessmentError(f"There is no person {person} in this clip; there is {there}.")
        return found
    return max(source.people, key=lambda one: one.frames_seen, default=None)


class _Chain:
    """One run through the stages."""

    def __init__(self, options: ChainOptions, told: Callable[[StageResult], None]) -> None:
        self.options, self._told = options, told
        self._results: dict[str, StageResult] = {}
        self._began_s = time.perf_counter()
        self._kept: dict[str, Any] = {"flat": None, "space": None, "trimmed": None}
        self._exercise: Exercise | None = None if options.exercise == AUTO else EXERCISES[options.exercise]

    def run(self, sequence: PoseSequence | None, frames: Iterable[Frame] | None) -> Assessment:
        """All stages until one refuses."""
        person = 0 if sequence is None else sequence.person
        scored: tuple[RepetitionScore, ...] = ()
        if sequence is not None and self._poses(sequence) and self._ugly(sequence, frames) and self._lift(sequence):
            repetitions = self._trim()
            kept = self._gate(repetitions, sequence) if repetitions else []
            scored = self._score(kept, sequence) if kept else ()
        elif sequence is None:
            self._say("pose", Verdict(False, ("Nobody was found in this clip: film one person, whole body in view.",)))
        stages = tuple(self._results.get(name, StageResult(name)) for name in STAGES)
        middle = float(np.median([one.score for one in scored])) if scored else None
        model = scorer(self.options.scorer) if scored else None
        low, high = model.intervals.around(middle) if model is not None and middle is not None else (None, None)
        return Assessment(
            person,
            self._exercise.name if self._exercise else "",
            "given" if self.options.exercise != AUTO else "recognised",
            stages,
            middle,
            low,
            high,
            "" if middle is None else band(middle),
            scored,
            self._kept["trimmed"],
            self._kept["flat"],
            self._kept["space"],
            self.options,
            DERIVED if model is None or "derived" in model.target else f"The score is {model.target}.",
        )

    def _say(self, stage: str, verdict: Verdict) -> bool:
        now = time.perf_counter()
        self._results[stage] = StageResult(stage, verdict, now - self._began_s)
        self._began_s = now
        self._told(self._results[stage])
        return verdict.ok

    def _poses(self, sequence: PoseSequence) -> bool:
        seen = sequence.frames_seen
        measured = {"frames": len(sequence), "frames_seen": seen, "skeleton": sequence.skeleton.name}
        if seen < 2:
            reason = "Nobody was found in this clip: film one person, whole body in view."
            return self._say("pose", Verdict(False, (reason,), measured))
        return self._say("pose", Verdict(True, (), measured))

    def _ugly(self, sequence: PoseSequence, frames: Iterable[Frame] | None) -> bool:
        if not np.isfinite(sequence.xy_px).any():
            return self._say("ugly_2d", Verdict(True, ("These poses are in space only: there is no 2D to judge.",)))
        try:
            verdict = ugly_2d.judge(sequence, frames)
        except lifting.LiftError as error:  # a gate that is not here must not pass unsaid
            verdict = Verdict(True, (f"The poses were not judged: {error}",), {"judged": False})
        return self._say("ugly_2d", verdict)

    def _lift(self, sequence: PoseSequence) -> bool:
        flat = sequence.to(KINECT_13)
        self._kept["flat"] = flat
        unseen = [joint.replace("_", " ") for k, joint in enumerate(KINECT_13.joints)
                  if not np.isfinite(flat.xy_px[:, k]).any() and self.options.lift != GIVEN]  # fmt: skip
        if unseen:
            reason = f"Never seen in this clip: {', '.join(unseen)}; film the whole body."
            return self._say("to_kinect", Verdict(False, (reason,), {"unseen": unseen}))
        self._say("to_kinect", Verdict(True, (), {"joints": len(KINECT_13), "model": self.options.lift}))
        space = lifted(sequence, self.options.lift, self.options.height_m)
        self._kept["space"] = space
        assert space.xyz_m is not None
        known = float(np.isfinite(space.xyz_m).all(axis=(1, 2)).mean())
        error = None if space.raw_score is None or self.options.lift == GIVEN else float(np.nanmedian(space.raw_score))
        measured = {"frames_known": known, "expected_error_m": error, "model": self.options.lift}
        if known < 0.3:
            reason = f"The body in space is known in only {known:.0%} of the frames; keep the whole body in view."
            return self._say("depth", Verdict(False, (reason,), measured))
        return self._say("depth", Verdict(True, (), measured))

    def _trim(self) -> list[tuple[float, float]]:
        space = self._kept["space"]
        try:
            found = trim(trimmer(), space.xyz_m, space.time_s)
        except CanonicalError as error:
            self._say("trimming", Verdict(False, (str(error),)))
            return []
        self._kept["trimmed"] = found
        total = space.time_s[-1] - space.time_s[0]
        active = sum(segment.end_s - segment.start_s for segment in found.segments)
        measured = {"segments": len(found.segments), "repetitions": len(found.repetitions), "active_s": active}
        if not found.repetitions:
            reason = f"No exercise was found in these {total:.1f} s; film at least one whole repetition."
            self._say("trimming", Verdict(False, (reason,), measured))
        else:
            self._say("trimming", Verdict(True, (), measured))
        return list(found.repetitions)

    def _gate(self, repetitions: list[tuple[float, float]], sequence: PoseSequence) -> list[tuple[Array, Array]]:
        among = tuple(EXERCISES)
        if self._exercise is None:
            guess = _guess(sequence)
            if guess.movement in NEVER_SCORED and guess.confidence >= NAMED_FROM:
                name = label(guess.movement).lower()
                reason = f"This looks like: {name}. It is not one of the exercises that can be scored."
                self._say("bad_3d", Verdict(False, (reason,), {"recognised": guess.movement}))
                return []
            among = LEG_EXERCISES if guess.movement in ("squat", "lunge") else among
        space, model = self._kept["space"], bad_3d.gate()
        cut = [_cut(space, start, end) for start, end in repetitions]
        cut = [(xyz, time_s) for xyz, time_s in cut if len(time_s) >= 2]
        try:
            if self._exercise is None and cut:
                self._exercise = _recognised(model, cut, among)
            longest = max(cut, key=lambda one: one[1][-1] - one[1][0], default=None)
            assert self._exercise is not None or longest is None
            chosen = self._exercise or next(iter(EXERCISES.values()))
            found = [bad_3d.likeness(model, xyz, time_s, chosen) for xyz, time_s in cut]
            others = bad_3d.most_like(model, *longest, among) if longest is not None else ()
        except CanonicalError as error:
            self._say("bad_3d", Verdict(False, (str(error),)))
            return []
        verdict = bad_3d.judge(model, found, chosen, others)
        if not verdict.ok and self.options.exercise == AUTO:
            unknown = "This is not one of the exercises that can be scored."
            verdict = replace(verdict, reasons=(unknown, *verdict.reasons))
            self._exercise = None
        if not self._say("bad_3d", verdict):
            return []
        return [one for one, like in zip(cut, found, strict=True) if like.plausibility >= model.threshold]

    def _score(self, repetitions: list[tuple[Array, Array]], sequence: PoseSequence) -> tuple[RepetitionScore, ...]:
        exercise = self._exercise
        assert exercise is not None
        model = scorer(self.options.scorer)
        scored = [score_repetition(model, _canonical(xyz, t, exercise), exercise) for xyz, t in repetitions]
        if exercise.rules:
            scored = with_rules(scored, _rules(sequence, exercise.rules))
        measured = {"repetitions": len(scored), "model": self.options.scorer, "scores": [one.score for one in scored]}
        self._say("scoring", Verdict(True, (), measured))
        return tuple(scored)


def lifted(sequence: PoseSequence, lift: str, height_m: float | None = None) -> PoseSequence:
    """Kinect-13 in metres, by a network or as the pose model itself has it.

    Raises:
        AssessmentError: the pose model has no points in space. LiftError: weights are missing.
    """
    if lift != GIVEN:
        return lifting.lift(sequence, lift, height_m)
    space = sequence.to(KINECT_13)
    if space.xyz_m is None or not np.isfinite(space.xyz_m).any():
        raise AssessmentError("These poses have no points in space of their own; choose --lift temporal.")
    return space


def _cut(space: PoseSequence, start_s: float, end_s: float) -> tuple[Array, Array]:
    """(T, 13, 3) metres and (T,) seconds of one repetition, frames without anything left out."""
    assert space.xyz_m is not None
    inside = (space.time_s >= start_s - 1e-9) & (space.time_s <= end_s + 1e-9)
    inside &= np.isfinite(space.xyz_m).any(axis=(1, 2))
    return space.xyz_m[inside], space.time_s[inside]


def _canonical(xyz_m: Array, time_s: Array, exercise: Exercise) -> Canonical:
    return canonical(xyz_m, time_s, exercise.counted)


def _guess(sequence: PoseSequence) -> Guess:
    """What the trained recogniser calls this person's exercise; "unknown" in space, where there is no picture."""
    from pipeline.movements.recognize import by_network

    if not np.isfinite(sequence.xy_px).any():
        return Guess(UNKNOWN, 0.0, "poses in space only")
    return by_network(sequence)


def _recognised(model: GateModel, cut: list[tuple[Array, Array]], among: tuple[str, ...]) -> Exercise:
    """The exercise of ``among`` that most repetitions are most like; of squat and sitting down what the balance says.

    ``pipeline.recognition`` narrows ``among``: its classes hold two of the ten (squat and lunge), and it calls sitting
    down and side lunges so, too. Whether the motion is one of them at all is the gate's next question.
    """
    votes: dict[str, float] = {}
    for xyz, time_s in cut[:_VOTES]:
        for other in bad_3d.most_like(model, xyz, time_s, among):
            votes[other.exercise] = votes.get(other.exercise, 0.0) + other.plausibility
    best = max(votes, key=lambda name: votes[name])
    if best in (SQUAT, SITTING):
        counted = EXERCISES[SQUAT].counted
        best = SITTING if model.chair.sits([canonical(xyz, t, counted).xyz for xyz, t in cut[:_VOTES]]) else SQUAT
    return EXERCISES[best]


def _rules(sequence: PoseSequence, movement: str) -> MovementReport:
    from pipeline.movements.analyze import analyze

    return analyze(sequence, movement)


def with_rules(scored: list[RepetitionScore], report: MovementReport) -> list[RepetitionScore]:
    """The reasons with what the movement rules found in the same joint within the same repetition."""

    def told(one: RepetitionScore, reason: Reason) -> str:
        for repetition in report.repetitions:
            for remark in repetition.remarks:
                joints = {joint.replace("ankle", "foot").replace("wrist", "hand") for joint in remark.joints}
                if reason.joint in joints and one.start_s - 0.2 <= remark.time_s <= one.end_s + 0.2:
                    return f"{remark.label}: {remark.advice}"
        return ""

    return [replace(one, reasons=tuple(replace(r, rule=told(one, r)) for r in one.reasons)) for one in scored]
