"""The table of an analysed set, from what ``MovementReport.to_json`` says: the same for page, run and service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REPETITION_COLUMNS = (
    *("repetition", "person", "movement", "start_s", "turn_s", "end_s", "duration_s", "complete", "confidence", "view"),
    *("verdict", "faults", "remarks"),
)
"""What every row has; the metrics follow, those of one side as ``knee_flexion_deg_left``."""


def repetition_row(report: Mapping[str, Any], repetition: Mapping[str, Any]) -> dict[str, Any]:
    """One repetition of a report: times, verdict, faults with side and severity, the remarks in words, every metric.

    Units stand in the names; None is what could not be measured.
    """
    start_s, end_s, remarks = repetition["start_s"], repetition["end_s"], repetition["remarks"]
    row = {
        "repetition": repetition["number"],
        "person": repetition["person"],
        "movement": report["movement"],
        "start_s": _rounded(start_s),
        "turn_s": _rounded(repetition["turn_s"]),
        "end_s": _rounded(end_s),
        "duration_s": _rounded(end_s - start_s),
        "complete": repetition["complete"],
        "confidence": _rounded(repetition["confidence"]),
        "view": repetition["view"],
        "verdict": repetition["verdict"],
        "faults": "; ".join(f"{r['fault']} ({r['side']}, {r['severity']})" for r in remarks),
        "remarks": "; ".join(dict.fromkeys(r["label"] for r in remarks)),
    }
    for r in repetition["metrics"]:
        name = r["metric"] if r["side"] == "both" else f"{r['metric']}_{r['side']}"
        row[name] = None if r["refused"] else _rounded(r["value"])
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
