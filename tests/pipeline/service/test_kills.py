"""kill -9 of the real commands at random moments; 50 times each in benchmarks/reliability.py, a few times here."""

from __future__ import annotations

from pathlib import Path

from benchmarks.reliability import kill_batch, kill_infer, kill_service


def test_a_killed_service_loses_no_acknowledged_job(tmp_path: Path) -> None:
    outcome = kill_service(tmp_path, kills=1, longest_s=2.0)
    assert outcome.kills == 1
    assert outcome.runs >= outcome.asked >= 1
    assert outcome.troubles == []


def test_a_killed_batch_ends_with_one_run_a_clip(tmp_path: Path) -> None:
    outcome = kill_batch(tmp_path, kills=1, clips=3, longest_s=4.0)
    assert outcome.kills == 1
    assert outcome.runs == outcome.asked
    assert outcome.troubles == []


def test_a_killed_inference_leaves_whole_runs_or_none(tmp_path: Path) -> None:
    assert kill_infer(tmp_path, kills=1, longest_s=4.0).troubles == []
