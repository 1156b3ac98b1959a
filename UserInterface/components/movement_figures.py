"""Plotly figures of an analysed set. Pure functions: a report in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from pipeline.movements.base import MovementReport
from pipeline.movements.figures import COLORS, PERCENT, VERDICT_COLORS, curve_label
from pipeline.poses import Array

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SIDE_DASH = {"left": "solid", "right": "dash"}


def set_figure(report: MovementReport, curves: Sequence[str], *, moment_s: float | None, height: int) -> go.Figure:
    """Curves over time with the repetitions shaded and numbered, their turning points, and a mark for each fault.

    Left is drawn solid and right dashed, in the colour of the joint.
    """
    figure = go.Figure()
    joints = list(dict.fromkeys(_without_side(name) for name in curves))
    for name in curves:
        side = name.split("_")[0]
        figure.add_scatter(
            x=report.time_s,
            y=report.curves[name],
            name=curve_label(name),
            mode="lines",
            connectgaps=False,
            line={"color": COLORS[joints.index(_without_side(name)) % len(COLORS)], "dash": _SIDE_DASH.get(side)},
            hovertemplate="%{y:.0f}°",
        )
    for repetition in report.repetitions:
        figure.add_vrect(
            x0=repetition.start_s,
            x1=repetition.end_s,
            fillcolor=VERDICT_COLORS[repetition.verdict],
            opacity=0.14,
            line_width=0,
            layer="below",
        )
        figure.add_annotation(
            x=repetition.turn_s,
            y=0,
            yref="paper",
            yanchor="bottom",
            text=f"<b>{repetition.number}</b>",
            showarrow=False,
            bgcolor="rgba(127, 127, 127, 0.35)",
            borderpad=1,
        )
        figure.add_vline(x=repetition.turn_s, line={"color": "gray", "width": 1, "dash": "dot"}, layer="below")
    _mark_faults(figure, report, curves)
    if moment_s is not None:
        figure.add_vline(x=moment_s, line={"color": "gray", "width": 1})
    _lay_out(figure, height)
    start, end = (report.time_s[0], report.time_s[-1]) if len(report.time_s) else (0.0, 1.0)
    figure.update_layout(dragmode="pan", uirevision="curves")
    figure.update_xaxes(title="time (s)", range=[start, max(end, start + 1e-3)], hoverformat=".2f")
    return figure


def compare_figure(curves: Mapping[str, tuple[Array, Array]], quantity: str, *, height: int) -> go.Figure:
    """Curves on the common time of 0 to 100 %, each with its spread as a band.

    Args:
        curves: label to (101,) mean and (101,) standard deviation.
    """
    figure = go.Figure()
    for number, (label, (mean, spread)) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        if np.nanmax(spread, initial=0.0) > 0:
            figure.add_scatter(
                x=[*PERCENT, *PERCENT[::-1]],
                y=[*(mean + spread), *(mean - spread)[::-1]],
                fill="toself",
                fillcolor=color,
                opacity=0.18,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        line = {"color": color, "dash": _DASHES[number % len(_DASHES)], "width": 2.5}
        figure.add_scatter(x=PERCENT, y=mean, name=label, mode="lines", line=line, hovertemplate="%{y:.0f}°")
    _lay_out(figure, height)
    figure.update_xaxes(title="part of the repetition (%)", range=[0, 100], hoverformat=".0f", fixedrange=True)
    figure.update_yaxes(title=f"{quantity} (°)")
    return figure


def _mark_faults(figure: go.Figure, report: MovementReport, curves: Sequence[str]) -> None:
    """A triangle on the first curve at each fault's moment, with its words."""
    if not curves or not report.remarks:
        return
    values = report.curves[curves[0]]
    moments: dict[float, list[str]] = {}
    for remark in report.remarks:
        moments.setdefault(round(remark.time_s, 3), []).append(remark.label)
    known = np.isfinite(values)
    if not known.any():
        return
    figure.add_scatter(
        x=list(moments),
        y=np.interp(list(moments), report.time_s[known], values[known]),
        mode="markers",
        name="fault",
        marker={"symbol": "triangle-up", "size": 12, "color": VERDICT_COLORS["faults"], "line": {"width": 1}},
        text=["<br>".join(labels) for labels in moments.values()],
        hovertemplate="%{text}<extra></extra>",
    )


def _lay_out(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 8, "t": 28, "b": 0},
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        showlegend=True,
    )
    figure.update_yaxes(title="angle (°)", fixedrange=True)


def _without_side(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")
