"""Figures and the table of an analysed set, to download and to print: seaborn, PNG or SVG.

Curves of repetitions are compared on a time of their own: 0 % at the start, 100 % at the end (the usual way in gait
analysis, Winter 2009, Biomechanics and Motor Control of Human Movement).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.movements.analyze import movement_named
from pipeline.movements.base import Metric, Movement, MovementReport, RepetitionReport
from pipeline.movements.evidence import reading
from pipeline.movements.tables import REPETITION_COLUMNS, repetition_row
from pipeline.poses import Array

PERCENT = np.linspace(0.0, 100.0, 101)
"""(101,) the common time of compared repetitions."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
VERDICT_COLORS: Mapping[str, str] = {
    "good": "#009e73",
    "faults": "#d55e00",
    "cut off": "#7f8c8d",
    "not judged": "#56b4e9",
}
_DASHES = ("-", "--", ":", "-.")
_WIDTH_IN = 9.0


def curve_caution(report: MovementReport) -> str:
    """What the view does to the curves, which are angles in the picture; empty when they can be taken as they are."""
    if report.view in ("front", "back"):
        return (
            "Filmed from the front or from behind, knees, hips and trunk bend towards the camera: these are angles in "
            "the picture, too small there. Take their timing, not their size; the depth in the table allows for it."
        )
    if report.view == "oblique":
        return "Filmed from an angle, these angles of the picture are foreshortened; the table allows for the view."
    return ""


def curve_label(name: str) -> str:
    """``left_knee_flexion_deg`` as people say it: "left knee flexion"."""
    return name.removesuffix("_deg").replace("_", " ")


def normalised(report: MovementReport, repetition: RepetitionReport, curve: str) -> Array:
    """(101,) a curve over one repetition at 0, 1 ... 100 % of its time; NaN where fewer than two values are known."""
    values = report.curves[curve]
    inside = (report.time_s >= repetition.start_s) & (report.time_s <= repetition.end_s) & np.isfinite(values)
    if inside.sum() < 2:
        return np.full(len(PERCENT), np.nan)
    share = 100 * (report.time_s[inside] - repetition.start_s) / max(repetition.end_s - repetition.start_s, 1e-9)
    return np.asarray(np.interp(PERCENT, share, values[inside]))


def mean_and_spread(report: MovementReport, curve: str) -> tuple[Array, Array]:
    """(101,) mean and standard deviation of a curve over the complete repetitions; NaN where there are none.

    The standard deviation of a single repetition is 0.
    """
    rows = [normalised(report, repetition, curve) for repetition in report.repetitions if repetition.complete]
    rows = [row for row in rows if np.isfinite(row).all()]
    if not rows:
        nothing = np.full(len(PERCENT), np.nan)
        return nothing, nothing
    return np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(PERCENT))


def symmetry(repetition: RepetitionReport, metric: str) -> float:
    """Difference between the two sides of the body in a metric, in its unit; NaN where the view hides one.

    The movement's own ``asymmetry_deg`` comes first: it knows how sure the difference is.
    """
    if any(r.metric == "asymmetry_deg" for r in repetition.metrics):
        own = reading(repetition, "asymmetry_deg")
        return own.value if own is not None else float("nan")
    sides = {r.side: r.value for r in repetition.metrics if r.metric == metric and not r.refused}
    return abs(sides["left"] - sides["right"]) if {"left", "right"} <= set(sides) else float("nan")


def repetitions_table(report: MovementReport) -> pd.DataFrame:
    """One row a repetition: times, verdict, faults, and every metric (with its sides); units in the column names."""
    document = report.to_json(curves=False)
    rows = [repetition_row(document, repetition) for repetition in document["repetitions"]]
    return pd.DataFrame(
        rows, columns=list(dict.fromkeys([*REPETITION_COLUMNS, *(name for row in rows for name in row)]))
    )


def curves_figure(report: MovementReport) -> Figure:
    """All curves of the set over time, repetitions shaded by verdict, turning points dotted, faults marked."""
    names = list(report.curves)
    figure, axes = _figure(_WIDTH_IN, 4.2)
    for number, name in enumerate(names):
        sns.lineplot(
            x=report.time_s,
            y=report.curves[name],
            ax=axes,
            label=curve_label(name),
            color=COLORS[number % len(COLORS)],
            linestyle=_DASHES[number % len(_DASHES)],
            errorbar=None,
            estimator=None,
        )
    for repetition in report.repetitions:
        axes.axvspan(
            repetition.start_s, repetition.end_s, color=VERDICT_COLORS[repetition.verdict], alpha=0.13, linewidth=0
        )
        axes.axvline(repetition.turn_s, color="gray", linewidth=0.8, linestyle=":")
        axes.text(
            repetition.turn_s, 1.01, f"{repetition.number}\n{repetition.verdict}",
            transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize="small",
        )  # fmt: skip
    moments = sorted({round(remark.time_s, 3) for remark in report.remarks})
    if moments:
        axes.plot(
            moments, [0.02] * len(moments), "^", color=VERDICT_COLORS["faults"], label="fault",
            transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    axes.set(xlabel="time (s)", ylabel="angle (°)")
    _title(axes, report, pad=34 if report.repetitions else 10)
    _legend_beside(axes)
    return figure


def repetitions_figure(report: MovementReport) -> Figure:
    """Every repetition's tempo (its phases stacked) beside its main metric with the limits of this judgement."""
    rows = report.repetitions
    figure = Figure(figsize=(_WIDTH_IN, max(2.4, 1.4 + 0.34 * len(rows))), layout="constrained")
    with _style():
        left, right = figure.subplots(1, 2, sharey=True)
    phases = list(dict.fromkeys(phase.name for repetition in rows for phase in repetition.phases))
    labels = [f"{r.number} ({r.verdict})" for r in rows]
    starts = np.zeros(len(rows))
    for number, name in enumerate(phases):
        lengths = np.array([sum(p.end_s - p.start_s for p in r.phases if p.name == name) for r in rows])
        left.barh(labels, lengths, left=starts, label=name, color=COLORS[number % len(COLORS)])
        starts += lengths
    left.invert_yaxis()
    left.set(xlabel="time (s)", ylabel="repetition", title="Tempo")
    if phases:
        left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32 if len(rows) < 5 else -0.16), ncols=len(phases))
    metric = main_metric(movement_named(report.movement))
    right.set(title="No measure: this movement is counted only")
    if metric is not None:
        for label, repetition in zip(labels, rows, strict=True):
            if (found := reading(repetition, metric.name)) is not None:
                color = VERDICT_COLORS[repetition.verdict]
                right.errorbar(found.value, label, xerr=found.error, fmt="o", color=color, capsize=3)
        for limit in limits_of(report, metric):
            right.axvline(limit, color="black", linestyle="--", linewidth=1, label="limit")
        right.set(
            xlabel=f"{metric.label}{f' ({metric.unit})' if metric.unit else ''}",
            title="Main measure, bars: standard error",
        )
        if right.get_legend_handles_labels()[0]:
            right.legend()
    sns.despine(figure)
    return figure


def comparison_figure(curves: Mapping[str, tuple[Array, Array]], quantity: str) -> Figure:
    """Curves on the common time of 0 to 100 %, each with its spread as a band.

    Args:
        curves: label to (101,) mean and (101,) standard deviation.
    """
    figure, axes = _figure(_WIDTH_IN, 4.0)
    for number, (label, (mean, spread)) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        axes.plot(PERCENT, mean, color=color, linestyle=_DASHES[number % len(_DASHES)], label=label)
        if np.nanmax(spread, initial=0.0) > 0:
            axes.fill_between(PERCENT, mean - spread, mean + spread, color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="part of the repetition (%)", ylabel=f"{quantity} (°)")
    _legend_beside(axes)
    return figure


def main_metric(movement: Movement) -> Metric | None:
    """The movement's first metric that is judged: depth, for most; None for a movement that is counted only."""
    return next((metric for metric in movement.metrics if not metric.information), None)


def limits_of(report: MovementReport, metric: Metric) -> list[float]:
    """The limits of this judgement for a metric."""
    names = [rule.threshold for rule in movement_named(report.movement).rules if rule.metric == metric.name]
    return [float(report.parameters[name]) for name in dict.fromkeys(names)]


def figure_bytes(figure: Figure, kind: Literal["png", "svg"] = "png") -> bytes:
    """The figure as a file: PNG at 200 dots an inch, or SVG with text that stays text."""
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "kinoscope"}):
        figure.savefig(buffer, format=kind, dpi=200, bbox_inches="tight")
    return buffer.getvalue()


def _style() -> Any:
    return rc_context({**sns.axes_style("whitegrid"), **sns.plotting_context("paper", font_scale=1.1)})


def _figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    with _style():
        axes = figure.subplots()
    sns.despine(figure)
    return figure, axes


def _title(axes: Axes, report: MovementReport, pad: float) -> None:
    axes.set_title(f"{report.movement_label}, person {report.person}, seen from: {report.view}", loc="left", pad=pad)


def _legend_beside(axes: Axes) -> None:
    """Beside the curves: they fill the field."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
