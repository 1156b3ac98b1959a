"""What a run says for a report: who, when, and its sets judged as they were judged before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pipeline.movements.analyze import MOVEMENTS, UNKNOWN, analyze
from pipeline.movements.base import MovementReport, RuleParameters
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import Manifest, Run


class ReportError(ValueError):
    """A report cannot be made; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Session:
    """One run of one person.

    Attributes:
        run, recording: the clip and its poses.
        person: the analysed person; None when nobody was found.
        sets: their judged sets, best known first; none for a picture or when nothing repeats.
        results: every stored analysis by name.
    """

    run: Run
    recording: Recording
    person: PoseSequence | None
    sets: tuple[MovementReport, ...]
    results: Mapping[str, Mapping[str, Any]]

    @property
    def manifest(self) -> Manifest:
        """The run's manifest."""
        return self.run.manifest

    @property
    def day(self) -> date:
        """When it took place: see ``session_day``."""
        return session_day(self.manifest)


def session_day(manifest: Manifest) -> date:
    """The day of a run: a tag such as 2026-03-14 where there is one, else the day on which the run was made (UTC)."""
    for tag in manifest.tags:
        try:
            return date.fromisoformat(tag.strip())
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(manifest.created_utc).astimezone(UTC).date()
    except ValueError as error:
        raise ReportError(f"The run {manifest.id} has no readable date; add a tag such as 2026-03-14.") from error


def read_session(run: Run, person: int | None = None) -> Session:
    """A run with its sets: those that were analysed and kept, else the movement that is found in it.

    Args:
        person: whose; default is who was analysed before (with the most repetitions), else who moves most.

    Raises:
        ReportError, RunError, SchemaError: the run cannot be read, or has no such person.
    """
    recording, results = run.recording(), run.results()
    if person is not None and person not in [p.person for p in recording.people]:
        ids = ", ".join(str(p.person) for p in recording.people) or "nobody"
        raise ReportError(f"There is no person {person} in this clip; there is: {ids}.")
    kept = [r for name, r in results.items() if name.startswith("movement-") and r.get("movement") in MOVEMENTS]
    if person is None and kept:
        known = {p.person for p in recording.people}
        of_known = [r for r in kept if r.get("person") in known]
        most = max(of_known, key=lambda r: int(r.get("complete_repetitions") or 0), default=None)
        person = int(most["person"]) if most else None
    sets: list[MovementReport] = []
    if len(recording) > 1 and recording.people:
        for result in (r for r in kept if r.get("person") == person):
            sets.append(analyze(recording, str(result["movement"]), person, _thresholds(result)))
        if not sets:
            sets = [report for report in [analyze(recording, person=person)] if _says_something(report)]
            person = sets[0].person if sets and person is None else person
    shown = max(recording.people, key=lambda p: p.frames_seen, default=None)
    if person is not None:
        shown = recording.person(person)
    sets.sort(key=lambda report: (not report.has_rules, -report.complete))
    return Session(run, recording, shown, tuple(sets), results)


def _says_something(report: MovementReport) -> bool:
    return bool(report.repetitions) and (report.movement != UNKNOWN or report.complete > 0)


def _thresholds(result: Mapping[str, Any]) -> RuleParameters | str:
    """The thresholds that a stored result was judged by."""
    presets = MOVEMENTS[str(result["movement"])].presets
    preset = str(result.get("preset", "standard"))
    if preset in presets:
        return preset
    kind = type(presets["standard"])
    given = result.get("parameters")
    names = {field.name for field in dataclasses.fields(kind)}
    numbers = {n: float(v) for n, v in dict(given or {}).items() if n in names and isinstance(v, int | float)}
    return kind(**numbers)
