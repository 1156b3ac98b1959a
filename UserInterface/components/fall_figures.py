"""The fall probability over time. Pure functions: a report in, a figure out."""

from __future__ import annotations

import plotly.graph_objects as go

from pipeline.drawing import person_color
from pipeline.falls.detect import FallReport

ALARM = "#d62828"
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def probability_figure(report: FallReport, *, moment_s: float | None, height: int) -> go.Figure:
    """A line a person, the alarm threshold, each fall from onset to impact shaded and its peak marked."""
    figure = go.Figure()
    for number, one in enumerate(report.people):
        figure.add_scatter(
            x=one.time_s,
            y=one.probability,
            name=f"person {one.person}",
            mode="lines",
            line={"color": f"rgb{person_color(one.person)}", "dash": _DASHES[number % len(_DASHES)], "width": 2.5},
            hovertemplate="%{y:.0%}",
        )
    for event in report.events:
        figure.add_vrect(
            x0=event.onset_s, x1=event.impact_s, fillcolor=ALARM, opacity=0.18, line_width=0, layer="below"
        )
    if report.events:
        figure.add_scatter(
            x=[event.peak_s for event in report.events],
            y=[event.peak_probability for event in report.events],
            mode="markers",
            name="fall",
            marker={"symbol": "triangle-down", "size": 13, "color": ALARM, "line": {"width": 1}},
            hovertemplate="fall, %{y:.0%}<extra></extra>",
        )
    figure.add_hline(
        y=report.point.threshold,
        line={"color": "gray", "width": 1, "dash": "dash"},
        annotation={"text": "alarm", "font": {"size": 11}},
        annotation_position="top left",
    )
    if moment_s is not None:
        figure.add_vline(x=moment_s, line={"color": "gray", "width": 1})
    starts = [one.time_s[0] for one in report.people if len(one.time_s)]
    ends = [one.time_s[-1] for one in report.people if len(one.time_s)]
    start, end = (min(0.0, *starts), max(report.length_s, *ends)) if starts else (0.0, max(report.length_s, 1.0))
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 8, "t": 28, "b": 0},
        hovermode="x unified",
        dragmode="pan",
        uirevision="falls",
        showlegend=True,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )
    figure.update_xaxes(title="time (s)", range=[start, max(end, start + 1e-3)], hoverformat=".2f")
    figure.update_yaxes(title="fall probability", range=[0, 1.04], tickformat=".0%", fixedrange=True)
    return figure
