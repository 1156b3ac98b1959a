"""Plotly figures of a scored exercise. Pure functions: results in, a figure out."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from pipeline.poses import Array, PoseSequence
from pipeline.scoring.assess import Assessment
from pipeline.scoring.exercises import BAND_EDGES, BANDS, WORST_SCORE
from pipeline.skeletons import is_left, is_right
from UserInterface.components.figures import words

_BAND_COLORS = ("#1a9850", "#66bd63", "#a6d96a", "#fee08b", "#fdae61", "#f46d43", "#d73027")
_SIDE_COLORS = {"left": "#0072b2", "right": "#d55e00", "trunk": "#7f8c8d"}  # Okabe and Ito
_FILM_HZ, _MOST_FRAMES = 10.0, 300
_MARGIN = {"l": 0, "r": 0, "t": 8, "b": 0}


def gauge_figure(score: float, low: float, high: float, height: int = 180) -> go.Figure:
    """The score on its scale of seven bands; the dark bar is the interval, the line the score."""
    edges = (0.0, *BAND_EDGES, WORST_SCORE)
    figure = go.Figure()
    for start, end, color, name in zip(edges[:-1], edges[1:], _BAND_COLORS, BANDS, strict=True):
        figure.add_bar(
            x=[end - start], base=[start], y=[0], orientation="h", width=0.5, marker={"color": color},
            hovertemplate=f"{name}: {start:.1f} to {end:.1f}<extra></extra>", showlegend=False,
        )  # fmt: skip
        figure.add_annotation(
            x=(start + end) / 2, y=-0.45, text=name.replace(" ", "<br>"), showarrow=False, font={"size": 11}
        )
    figure.add_scatter(
        x=[low, high], y=[0, 0], mode="lines", line={"color": "rgba(30, 30, 30, 0.75)", "width": 9},
        hovertemplate=f"interval: {low:.1f} to {high:.1f}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=[score], y=[0], mode="markers", showlegend=False, hovertemplate=f"score: {score:.2f}<extra></extra>",
        marker={"symbol": "diamond", "size": 20, "color": "white", "line": {"color": "black", "width": 3}},
    )  # fmt: skip
    figure.add_annotation(x=score, y=0.5, text=f"<b>{score:.1f}</b>", showarrow=False, font={"size": 20})
    figure.update_layout(height=height, margin=_MARGIN, barmode="overlay", dragmode=False)
    figure.update_xaxes(range=[-0.05, WORST_SCORE + 0.05], tickvals=list(edges), fixedrange=True, showgrid=False)
    figure.update_yaxes(visible=False, range=[-0.65, 0.65], fixedrange=True)
    return figure


def trimming_figure(found: Assessment, *, moment_s: float, height: int) -> go.Figure:
    """How likely each moment shows the exercise; repetitions shaded with their scores, reasons as triangles."""
    figure = go.Figure()
    trimmed = found.trimmed
    if trimmed is not None:
        figure.add_scatter(
            x=trimmed.time_s, y=trimmed.active, mode="lines", name="exercising", line={"color": "#0072b2"},
            hovertemplate="%{y:.0%}",
        )  # fmt: skip
    for number, one in enumerate(found.repetitions, 1):
        color = _BAND_COLORS[BANDS.index(one.band)]
        figure.add_vrect(x0=one.start_s, x1=one.end_s, fillcolor=color, opacity=0.3, line_width=1)
        figure.add_annotation(
            x=(one.start_s + one.end_s) / 2, y=1.1, text=f"<b>{number}</b>: {one.score:.1f}", showarrow=False
        )
    reasons = [reason for one in found.repetitions for reason in one.reasons]
    if reasons:
        figure.add_scatter(
            x=[reason.time_s for reason in reasons], y=[0.06] * len(reasons), mode="markers", name="cost points",
            marker={"symbol": "triangle-up", "size": 11, "color": "#d55e00"},
            text=[f"{words(reason.joint)}: {reason.points:.1f}" for reason in reasons],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=moment_s, line={"color": "gray", "width": 1, "dash": "dot"})
    figure.update_layout(
        height=height, margin=_MARGIN, dragmode="pan", hovermode="x",
        legend={"orientation": "h", "y": -0.32, "x": 0}, uirevision="trimming",
    )  # fmt: skip
    figure.update_xaxes(title="time (s)", hoverformat=".2f")
    figure.update_yaxes(range=[0, 1.2], tickvals=[0, 0.5, 1], tickformat=".0%", fixedrange=True)
    return figure


def film_times(time_s: Array) -> Array:
    """The moments of the skeleton's film: ten a second, fewer for long clips."""
    if len(time_s) < 2:
        return time_s
    duration = float(time_s[-1] - time_s[0])
    step = max(1 / _FILM_HZ, duration / _MOST_FRAMES)
    return np.arange(time_s[0], time_s[-1] + step / 2, step)


def skeleton_film(space: PoseSequence, moment_s: float, costs: Array | None = None, *, height: int) -> go.Figure:
    """The skeleton in space as a film that starts at the moment; larger, redder joints cost more points.

    Args:
        space: with ``xyz_m``.
        costs: (13,) points of each joint; None colours none.
        height: in CSS pixels.
    """
    assert space.xyz_m is not None
    times = film_times(space.time_s)
    index = np.clip(np.searchsorted(space.time_s, times - 1e-6), 0, len(space) - 1)
    start = int(np.argmin(np.abs(times - moment_s))) if len(times) else 0
    weight = np.zeros(len(space.skeleton)) if costs is None else np.maximum(costs, 0)
    figure = go.Figure(data=_traces(space, int(index[start]), weight))
    figure.frames = [
        go.Frame(data=_traces(space, int(row), weight), name=f"{time:.2f}", traces=[0, 1, 2, 3])
        for row, time in zip(index, times, strict=True)
    ]
    step_ms = 1000 * float(times[1] - times[0]) if len(times) > 1 else 100.0
    play = {"frame": {"duration": step_ms, "redraw": True}, "transition": {"duration": 0}, "fromcurrent": True}
    stop = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate", "transition": {"duration": 0}}
    points = space.xyz_m[np.isfinite(space.xyz_m).all(axis=2)]
    low, high = np.percentile(points, [0.5, 99.5], axis=0) if len(points) else (np.full(3, -1.0), np.full(3, 1.0))
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * 1.1 + 0.05
    grid = {"showbackground": False, "showspikes": False, "nticks": 5, "gridcolor": "rgba(128, 128, 128, 0.35)"}
    figure.update_layout(
        height=height,
        margin=_MARGIN | {"b": 70},
        uirevision="camera",
        showlegend=False,
        scene={
            "aspectmode": "cube",
            "xaxis": grid | {"title": "x (m)", "range": [middle[0] - half, middle[0] + half]},
            "yaxis": grid | {"title": "depth (m)", "range": [-middle[2] - half, -middle[2] + half]},
            "zaxis": grid | {"title": "y (m)", "range": [middle[1] - half, middle[1] + half]},
            "camera": {"eye": {"x": 0.6, "y": -1.3, "z": 0.25}},
        },
        updatemenus=[
            {
                "type": "buttons", "direction": "left", "x": 0, "y": 0, "xanchor": "left", "yanchor": "top",
                "pad": {"t": 4}, "showactive": False,
                "buttons": [
                    {"label": "▶ play", "method": "animate", "args": [None, play]},
                    {"label": "⏸ pause", "method": "animate", "args": [[None], stop]},
                ],
            }
        ],
        sliders=[
            {
                "active": start, "x": 0.36, "len": 0.62, "y": 0, "pad": {"t": 0}, "currentvalue": {"suffix": " s"},
                "steps": [
                    {"label": frame.name, "method": "animate", "args": [[frame.name], {**stop, "frame": play["frame"]}]}
                    for frame in figure.frames
                ],
                "ticklen": 0, "font": {"size": 10}, "minorticklen": 0,
            }
        ],
    )  # fmt: skip
    return figure


def _traces(space: PoseSequence, row: int, weight: Array) -> list[go.Scatter3d]:
    """Left, right and trunk bones, and the joints. Plotly's third axis is the vertical one."""
    assert space.xyz_m is not None
    x, y, z = space.xyz_m[row].T
    traces = []
    for side, color in _SIDE_COLORS.items():
        bones = [(a, b) for a, b in space.skeleton.bone_indices if _side(space, a, b) == side]
        ends = [[value for a, b in bones for value in (axis[a], axis[b], None)] for axis in (x, -z, y)]
        ends = [[None if v is None or np.isnan(v) else round(float(v), 3) for v in values] for values in ends]
        traces.append(
            go.Scatter3d(
                x=ends[0], y=ends[1], z=ends[2], mode="lines", line={"color": color, "width": 7}, hoverinfo="skip"
            )
        )
    names = [
        words(joint) + (f": {cost:.1f} points" if cost >= 0.05 else "")
        for joint, cost in zip(space.skeleton.joints, weight, strict=True)
    ]
    traces.append(
        go.Scatter3d(
            x=np.round(x, 3), y=np.round(-z, 3), z=np.round(y, 3), mode="markers", text=names, hoverinfo="text",
            marker={"size": 4 + 8 * np.clip(weight, 0, 1), "color": weight, "colorscale": "Reds", "cmin": -0.2,
                    "cmax": 0.8, "line": {"color": "black", "width": 1}},
        )
    )  # fmt: skip
    return traces


def _side(space: PoseSequence, a: int, b: int) -> str:
    ends = (space.skeleton.joints[a], space.skeleton.joints[b])
    if all(is_left(joint) for joint in ends):
        return "left"
    return "right" if all(is_right(joint) for joint in ends) else "trunk"
