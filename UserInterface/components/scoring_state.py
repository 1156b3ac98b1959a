"""What the parts of a scored clip look at together, and the scoring itself, once a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from pipeline.poses import Recording
from pipeline.runs import Run
from pipeline.scoring.assess import Assessment, ChainOptions, StageResult
from pipeline.scoring.kept import score_run
from pipeline.scoring.scorer import RepetitionScore


@dataclass(frozen=True)
class View:
    """A run, its score, and the beginning of its widgets' keys."""

    run: Run
    recording: Recording
    found: Assessment
    key: str

    @property
    def moment_s(self) -> float:
        """The current moment."""
        return float(st.session_state[f"{self.key}-time"])

    @property
    def repetition(self) -> RepetitionScore | None:
        """The one at the moment, else the chosen one before; None without any."""
        rows = self.found.repetitions
        for one in rows:
            if one.start_s <= self.moment_s <= one.end_s:
                return one
        before = [one for one in rows if one.end_s < self.moment_s]
        return before[-1] if before else (rows[0] if rows else None)


def scored(run: Run, recording: Recording, options: ChainOptions, told: Callable[[StageResult], None]) -> Assessment:
    """The clip's score; kept for this session, so that a click does not run the chain again."""
    key = f"scored-{run.id}-{len(recording)}-{options}"
    found = st.session_state.get(key)
    if isinstance(found, Assessment):
        for stage in found.stages:
            told(stage)
        return found
    found = score_run(run, options, recording, told)
    for stage in found.stages:
        if stage.verdict is None:
            told(stage)
    st.session_state[key] = found
    return found


def jump(view: View, time_s: float) -> None:
    """Move the video and all that follows it."""
    st.session_state[f"{view.key}-time"] = float(time_s)
    st.session_state[f"{view.key}-seek"] = st.session_state.get(f"{view.key}-seek", 0) + 1
