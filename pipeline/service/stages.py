"""One stage of the scoring chain by itself, of a scored run or of poses: what it says, and its table."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.poses import Recording
from pipeline.runs import Run


class UnknownStage(KeyError):
    """There is no such stage; the message lists those that there are."""


@dataclass(frozen=True)
class StageAnswer:
    """A stage's ``verdict`` (as in the score's ``verdicts``) and its table as ``csv``, empty without one."""

    verdict: dict[str, Any]
    csv: str

    def to_json(self) -> dict[str, Any]:
        """The verdict, and the table column by column."""
        table = pd.read_csv(io.StringIO(self.csv)) if self.csv else pd.DataFrame()
        return self.verdict | {"table": {str(name): column.tolist() for name, column in table.items()}}


def stage_of_run(run: Run, analysis: str, stage: str) -> StageAnswer:
    """A stage of the score that a run keeps under the name ``analysis``. Raises UnknownStage."""
    path = run.file(f"{analysis}-{_known(stage)}.csv")
    return StageAnswer(_verdict(run.results()[analysis], stage), path.read_text(encoding="utf-8") if path else "")


def stage_of_poses(recording: Recording, stage: str) -> StageAnswer:
    """Run the chain on poses, without pictures. Raises UnknownStage, and what ``assess`` raises."""
    from pipeline.scoring.assess import assess
    from pipeline.scoring.kept import tables

    _known(stage)
    found = assess(recording)
    person = next((one for one in recording.people if one.person == found.person), None)
    table = tables(found, person).get(stage)
    return StageAnswer(_verdict(found.to_json(), stage), "" if table is None else table.to_csv(index=False))


def _known(stage: str) -> str:
    from pipeline.scoring.assess import STAGES

    if stage not in STAGES:
        raise UnknownStage(f"There is no stage {stage[:40]!r}; choose from: {', '.join(STAGES)}.")
    return stage


def _verdict(result: Mapping[str, Any], stage: str) -> dict[str, Any]:
    return dict(next(verdict for verdict in result["verdicts"] if verdict["stage"] == stage))
