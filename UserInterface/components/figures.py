"""Plotly figures of poses. Pure functions: numbers in, a figure out."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image as Picture

from pipeline.drawing import person_color
from pipeline.estimation.base import Image
from pipeline.inference import shrink
from pipeline.poses import Array, PoseSequence, Recording
from pipeline.skeletons import Skeleton, is_left, is_right

# name -> (axis title, description)
QUANTITIES: dict[str, tuple[str, str]] = {
    "x_px": ("x (px)", "x in the picture"),
    "y_px": ("y (px, down)", "y in the picture"),
    "score": ("confidence", "confidence"),
    "x_m": ("x (m, right)", "3D x"),
    "y_m": ("y (m, up)", "3D y"),
    "z_m": ("z (m, to camera)", "3D z"),
}
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SIDE_COLORS = {"left": "#0072b2", "right": "#d55e00", "trunk": "#7f8c8d"}  # Okabe and Ito
_LINE_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARGIN = {"l": 0, "r": 0, "t": 8, "b": 0}


def words(joint: str) -> str:
    """``left_knee`` as people say it."""
    return joint.replace("_", " ")


def jpeg(image: Image, max_side_px: int = 1280) -> bytes:
    """A (H, W, 3) RGB picture as JPEG, shrunk to fit."""
    buffer = io.BytesIO()
    Picture.fromarray(shrink(image, max_side_px)[0]).save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()


def quantities(person: PoseSequence) -> list[str]:
    """The names in ``QUANTITIES`` that this person has numbers for."""
    return [name for name in QUANTITIES if not name.endswith("_m") or person.xyz_m is not None]


def values(person: PoseSequence, joint: str, quantity: str) -> Array:
    """(T,) one number of one joint over time; NaN where it is unknown."""
    column = person.skeleton.index(joint)
    if quantity == "score":
        return person.score[:, column]
    axis = "xyz".index(quantity[0])
    if quantity.endswith("_px"):
        return person.xy_px[:, column, axis]
    return np.full(len(person), np.nan) if person.xyz_m is None else person.xyz_m[:, column, axis]


def frame_figure(
    picture: bytes | None, recording: Recording, frame: int, *, threshold: float, selected: int | None, height: int
) -> go.Figure:
    """The source's frame with everybody's points on it; each point's first custom value is the person's id.

    Args:
        picture: the frame as JPEG; None when the source is gone (points on an empty field then).
        threshold: points less confident are left out, and the bones they end.
        selected: the person drawn with thicker bones.
        height: of the figure in CSS pixels.
    """
    width_px, height_px = _size(recording)
    figure = go.Figure()
    if picture is not None:
        source = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
        figure.add_layout_image(
            source=source,
            xref="x",
            yref="y",
            x=0,
            y=0,
            sizex=width_px,
            sizey=height_px,
            sizing="stretch",
            layer="below",
        )
    for person in recording.people:
        _add_person(figure, person, frame, threshold, person.person == selected)
    figure.update_layout(
        height=height,
        margin=_MARGIN,
        dragmode=False,
        hovermode="closest",
        hoverdistance=40,
        clickmode="event+select",
        showlegend=False,
        coloraxis={
            "colorscale": "Viridis",
            "cmin": 0,
            "cmax": 1,
            "colorbar": {
                "title": {"text": "confidence", "side": "top"},
                "orientation": "h",
                "thickness": 8,
                "len": 0.6,
                "y": -0.02,
                "yanchor": "top",
                "tickvals": [0, 0.5, 1],
            },
        },
    )
    hidden = {"visible": False, "showgrid": False, "zeroline": False, "constrain": "domain", "fixedrange": True}
    figure.update_xaxes(range=[0, width_px], **hidden)
    figure.update_yaxes(range=[height_px, 0], scaleanchor="x", **hidden)
    return figure


def _size(recording: Recording) -> tuple[int, int]:
    if recording.people:
        return recording.people[0].image_size
    return recording.source.width or 640, recording.source.height or 480


def _add_person(figure: go.Figure, person: PoseSequence, frame: int, threshold: float, selected: bool) -> None:
    xy_px, score = person.xy_px[frame], person.score[frame]
    shown = np.isfinite(xy_px).all(axis=1) & (np.nan_to_num(score) >= threshold)
    if not shown.any():
        return
    color = "rgb({}, {}, {})".format(*person_color(person.person))
    x, y = _bone_lines(person.skeleton, xy_px, shown)
    share = float(np.ptp(xy_px[shown, 1])) / max(person.image_size[1], 1)
    scale = float(np.clip(2 * share, 0.5, 1.0))  # thin lines on people far away
    inner = (5 if selected else 2.5) * scale
    for line_color, width in (("black", inner + 2 * scale), (color, inner)):
        figure.add_scatter(x=x, y=y, mode="lines", line={"color": line_color, "width": width}, hoverinfo="skip")
    joints = np.flatnonzero(shown)
    names = [words(person.skeleton.joints[joint]) for joint in joints]
    figure.add_scatter(
        x=xy_px[joints, 0],
        y=xy_px[joints, 1],
        mode="markers",
        marker={
            "color": score[joints],
            "coloraxis": "coloraxis",
            "size": (9 if selected else 7) * scale,
            "line": {"color": "black", "width": 1},
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        customdata=[[person.person, name, float(value)] for name, value in zip(names, score[joints], strict=True)],
        hovertemplate=(
            "person %{customdata[0]}: %{customdata[1]}<br>"
            "confidence %{customdata[2]:.2f}<br>x %{x:.0f} px, y %{y:.0f} px<extra></extra>"
        ),
    )
    top = joints[np.argmin(xy_px[joints, 1])]
    figure.add_annotation(
        x=xy_px[top, 0],
        y=max(0.0, xy_px[top, 1]),
        text=f"<b>{person.person}</b>" + (" (chosen)" if selected else ""),
        showarrow=False,
        yshift=16,
        font={"color": "white", "size": 13},
        bgcolor="rgba(0, 0, 0, 0.65)",
        borderpad=2,
    )


def _bone_lines(skeleton: Skeleton, points: Array, shown: Array | np.ndarray) -> tuple[list[float | None], ...]:
    """One list a dimension: both ends of each bone and a gap."""
    bones = [(a, b) for a, b in skeleton.bone_indices if shown[a] and shown[b]]
    return tuple([v for a, b in bones for v in (points[a, d], points[b, d], None)] for d in range(points.shape[1]))


def skeleton_figure(person: PoseSequence, frame: int, *, threshold: float, height: int) -> go.Figure | None:
    """The person's ``xyz_m`` at one frame, seen from the camera, in the same cube for the whole clip.

    Left limbs are blue, right ones orange; L and R stand at the limbs' ends.
    None when the person has no 3D points in this frame.
    """
    if person.xyz_m is None or not np.isfinite(person.xyz_m[frame]).any():
        return None
    xyz_m, score = person.xyz_m[frame], person.score[frame]
    shown = np.isfinite(xyz_m).all(axis=1) & (np.nan_to_num(score) >= threshold)
    figure = go.Figure()
    for side, color in _SIDE_COLORS.items():
        bones = [
            (a, b)
            for a, b in person.skeleton.bone_indices
            if shown[a] and shown[b] and _bone_side(person.skeleton, a, b) == side
        ]
        x, y, z = ([v for a, b in bones for v in (xyz_m[a, d], xyz_m[b, d], None)] for d in range(3))
        line = {"color": color, "width": 7}
        # Plotly's third axis is the vertical one: depth goes to its second, away from the camera.
        depth = [None if v is None else -v for v in z]
        figure.add_scatter3d(x=x, y=depth, z=y, mode="lines", line=line, name=side, hoverinfo="skip")
    joints = np.flatnonzero(shown)
    figure.add_scatter3d(
        x=xyz_m[joints, 0],
        y=-xyz_m[joints, 2],
        z=xyz_m[joints, 1],
        mode="markers",
        showlegend=False,
        marker={"size": 4, "color": score[joints], "colorscale": "Viridis", "cmin": 0, "cmax": 1},
        customdata=[[words(person.skeleton.joints[j]), *map(float, xyz_m[j]), float(score[j])] for j in joints],
        hovertemplate=(
            "%{customdata[0]}<br>x %{customdata[1]:.2f} m right<br>y %{customdata[2]:.2f} m up<br>"
            "z %{customdata[3]:.2f} m to the camera<br>confidence %{customdata[4]:.2f}<extra></extra>"
        ),
    )
    ends = [j for j in joints if words(person.skeleton.joints[j]).split()[-1] in ("elbow", "wrist", "knee", "ankle")]
    figure.add_scatter3d(
        x=xyz_m[ends, 0],
        y=-xyz_m[ends, 2],
        z=xyz_m[ends, 1],
        mode="text",
        text=[person.skeleton.joints[j][0].upper() for j in ends],
        textposition="middle right",
        hoverinfo="skip",
        showlegend=False,
    )
    center, half = _cube(person)
    grid = {"showbackground": False, "showspikes": False, "nticks": 5, "gridcolor": "rgba(128, 128, 128, 0.35)"}
    figure.update_layout(
        height=height,
        margin=_MARGIN,
        uirevision="camera",  # a turned view stays turned when the moment changes
        legend={"orientation": "h", "y": 0.02, "x": 0.5, "xanchor": "center"},
        scene={
            "aspectmode": "cube",
            "xaxis": grid | {"title": "x (m)", "range": [center[0] - half, center[0] + half]},
            "yaxis": grid | {"title": "depth (m)", "range": [-center[2] - half, -center[2] + half]},
            "zaxis": grid | {"title": "y (m)", "range": [center[1] - half, center[1] + half]},
            "camera": {"eye": {"x": 0.2, "y": -1.3, "z": 0.12}},
        },
    )
    return figure


def _bone_side(skeleton: Skeleton, a: int, b: int) -> str:
    ends = (skeleton.joints[a], skeleton.joints[b])
    if all(is_left(joint) for joint in ends):
        return "left"
    return "right" if all(is_right(joint) for joint in ends) else "trunk"


def _cube(person: PoseSequence) -> tuple[Array, float]:
    """Centre and half side of the cube that holds nearly all 3D points of the clip."""
    assert person.xyz_m is not None
    points = person.xyz_m.reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    return (low + high) / 2, float((high - low).max()) / 2 * 1.1 + 0.02


def curves_figure(
    person: PoseSequence,
    joints: Sequence[str],
    quantity: str,
    *,
    moment_s: float | None,
    height: int,
    raw: PoseSequence | None = None,
) -> go.Figure:
    """One quantity of some joints over time, gaps where it is unknown, with the moment marked.

    Args:
        raw: the same person before filtering, drawn as points behind the lines.
    """
    figure = go.Figure()
    for number, joint in enumerate(joints if raw is not None else ()):
        assert raw is not None
        figure.add_scatter(
            x=raw.time_s,
            y=values(raw, joint, quantity),
            name=f"{words(joint)}, raw",
            mode="markers",
            marker={"color": _LINE_COLORS[number % len(_LINE_COLORS)], "size": 4, "opacity": 0.45},
            hovertemplate="%{y:.3~g}",
        )
    markers = len(person) < 3
    for number, joint in enumerate(joints):
        figure.add_scatter(
            x=person.time_s,
            y=values(person, joint, quantity),
            name=words(joint),
            mode="lines+markers" if markers else "lines",
            connectgaps=False,
            line={"color": _LINE_COLORS[number % len(_LINE_COLORS)], "dash": _DASHES[number % len(_DASHES)]},
            hovertemplate="%{y:.3~g}",
        )
    if moment_s is not None:
        figure.add_vline(x=moment_s, line={"color": "gray", "width": 1, "dash": "dot"})
    figure.update_layout(
        height=height,
        margin={"l": 0, "r": 8, "t": 28, "b": 0},
        hovermode="x unified",
        dragmode="pan",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        showlegend=True,
        uirevision=quantity,
    )
    start, end = (person.time_s[0], person.time_s[-1]) if len(person) else (0.0, 1.0)
    figure.update_xaxes(title="time (s)", range=[start, max(end, start + 1e-3)], hoverformat=".2f")
    figure.update_yaxes(title=QUANTITIES[quantity][0], fixedrange=True)
    if quantity == "y_px":
        figure.update_yaxes(autorange="reversed")  # up in the picture is up in the curve
    return figure
