"""Plotly charts of a recognised clip: who did what when, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pipeline.movements.figures import COLORS
from pipeline.recognition.classes import CLASSES, UNKNOWN, label
from pipeline.recognition.segments import Recognition, Segment, Timeline

LANE_PX = 42
_PATTERNS = ("", "/", ".", "x", "-", "\\", "|", "+")


def color_of(exercise: str) -> str:
    """The exercise's own colour, the same on every clip."""
    return "#8a8a8a" if exercise == UNKNOWN else COLORS[CLASSES.index(exercise) % len(COLORS)]


def timeline_figure(
    found: Recognition, people: Sequence[int], span_s: tuple[float, float], moment_s: float
) -> go.Figure:
    """A lane for each person, a bar for each segment with its exercise written on it; time runs along x."""
    figure = go.Figure()
    lanes = [f"Person {person}" for person in people]
    for exercise in dict.fromkeys(segment.exercise for segment in found.segments):
        own = [segment for segment in found.segments if segment.exercise == exercise]
        number = CLASSES.index(exercise)
        figure.add_bar(
            x=[segment.duration_s for segment in own],
            base=[segment.start_s for segment in own],
            y=[f"Person {segment.person}" for segment in own],
            orientation="h",
            name=label(exercise),
            marker={
                "color": color_of(exercise),
                "pattern": {"shape": _PATTERNS[number // len(COLORS) % len(_PATTERNS)]},
                "line": {"width": 1, "color": "rgba(127,127,127,0.8)"},
            },
            text=[_bar_text(segment) for segment in own],
            textposition="inside",
            insidetextanchor="middle",
            hovertext=[_hover(segment) for segment in own],
            hoverinfo="text",
        )
    figure.add_scatter(x=list(span_s), y=[lanes[0]] * 2 if lanes else [], mode="markers", opacity=0, showlegend=False,
                       hoverinfo="skip")  # fmt: skip  # lanes without a segment are drawn, too
    figure.add_vline(x=moment_s, line={"color": "gray", "width": 1})
    figure.update_layout(
        barmode="overlay", height=86 + LANE_PX * max(1, len(lanes)), margin={"l": 0, "r": 8, "t": 28, "b": 0},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, showlegend=bool(found.segments),
        dragmode="pan", uirevision="timeline", bargap=0.25,
    )  # fmt: skip
    figure.update_xaxes(title="time (s)", range=[span_s[0], max(span_s[1], span_s[0] + 1e-3)])
    figure.update_yaxes(
        categoryorder="array", categoryarray=lanes[::-1], range=[-0.5, len(lanes) - 0.5], fixedrange=True
    )
    return figure


def _bar_text(segment: Segment) -> str:
    count = "" if segment.repetitions is None else f" × {segment.repetitions}"
    return f"{label(segment.exercise)}{count}"


def _hover(segment: Segment) -> str:
    return (
        f"{_bar_text(segment)}<br>{segment.start_s:.1f} to {segment.end_s:.1f} s<br>{segment.confidence:.0%} sure; "
        f"next: {label(segment.runner_up).lower()} {segment.runner_up_confidence:.0%}"
    )


def chances_figure(line: Timeline, moment_s: float, height: int = 250) -> go.Figure:
    """How likely the exercises were over time: those that ever reached a fifth, and no known exercise."""
    figure = go.Figure()
    for number, name in enumerate(line.classes):
        values = line.chances[:, number]
        if name != UNKNOWN and (not len(values) or values.max() < 0.2):
            continue
        figure.add_scatter(
            x=line.time_s, y=values, name=label(name), mode="lines", hovertemplate="%{y:.0%}",
            line={"color": color_of(name), "width": 2, "dash": "dot" if name == UNKNOWN else "solid"},
        )  # fmt: skip
    figure.add_vline(x=moment_s, line={"color": "gray", "width": 1})
    figure.update_layout(
        height=height, margin={"l": 0, "r": 8, "t": 28, "b": 0}, hovermode="x unified", showlegend=True,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    figure.update_xaxes(title="time (s)", hoverformat=".1f")
    figure.update_yaxes(title="probability", range=[0, 1.02], tickformat=".0%", fixedrange=True)
    return figure
