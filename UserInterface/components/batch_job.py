"""A batch that runs in a thread of its own: every browser session sees it, and it outlives the page."""

from __future__ import annotations

import time

import streamlit as st

from pipeline.batch.batch import Batch, Runner, run_batch
from UserInterface.components.job import Background


class BatchJob(Background):
    """One batch at work; ``batch.status`` follows it. Cancelled, the clip in hand is begun again on resuming."""

    kept = "What is done is kept, and Resume goes on from there."

    def __init__(self, batch: Batch, runner: Runner | None = None) -> None:
        self.batch = batch
        self.started_s = time.monotonic()
        self._runner = runner
        super().__init__(batch.name)

    def work(self) -> None:
        """Do what is pending."""
        run_batch(self.batch, self._runner, cancelled=self._cancel.is_set)


@st.cache_resource(show_spinner=False)
def _jobs() -> dict[tuple[str, str], BatchJob]:
    return {}


def job_of(out: str, name: str) -> BatchJob | None:
    """The batch of this name that runs here, or ran last since the dashboard was started."""
    return _jobs().get((out, name))


def start(batch: Batch, runner: Runner | None = None) -> BatchJob:
    """Begin; a batch of this name that runs already is kept."""
    known = job_of(batch.out, batch.name)
    if known is not None and known.running:
        return known
    job = _jobs()[batch.out, batch.name] = BatchJob(batch, runner)
    return job
