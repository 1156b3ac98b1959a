"""TRC (markers) and MOT (joint angles) for OpenSim, and TRC back in.

Axes as OpenSim's ground: y up, right-handed; x is the picture's right and z points towards the camera, which is what a
person filmed from their right side, walking to the right, needs (OpenSim's x forwards, z to the person's right).
Formats: OpenSim documentation, "Marker (.trc) Files", "Motion (.mot) Files".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.exchange.base import MOST_FRAMES, ExchangeError, ExportOptions, in_space, on_even_times, rate_of
from pipeline.exchange.markers import marker_name
from pipeline.kinematics import angles
from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import HALPE_26

COORDINATES = {
    "trunk": "pelvis_tilt",
    **{
        f"{side}_{ours}": f"{theirs}_{side[0]}"
        for side in ("right", "left")
        for ours, theirs in (
            ("hip_flexion", "hip_flexion"),
            ("knee_flexion", "knee_angle"),
            ("ankle_dorsiflexion", "ankle_angle"),
            ("shoulder_flexion", "arm_flex"),
            ("elbow_flexion", "elbow_flex"),
            ("wrist_flexion", "wrist_flex"),
        )
    },
}
"""Our angles as coordinates of OpenSim's Rajagopal2016 and LaiUhlrich2022 models, in which flexion is positive."""


def markers(sequence: PoseSequence, options: ExportOptions) -> tuple[PoseSequence, tuple[str, ...]]:
    """The sequence and the marker names to write: body and feet for OpenSim, or every joint."""
    chosen = sequence.to(HALPE_26) if options.markers == "opensim" else sequence
    return chosen, tuple(marker_name(joint) for joint in chosen.skeleton.joints)


def even_markers(
    sequence: PoseSequence, options: ExportOptions
) -> tuple[float, Array, Array, tuple[str, ...], tuple[str, ...]]:
    """Rate, (N,) seconds, (N, M, 3) metres, M marker names that were ever seen, and what to know about them."""
    rate_hz = options.rate_hz or rate_of(sequence)
    chosen, names = markers(sequence, options)
    points, notes = in_space(chosen, options)
    time_s, points = on_even_times(sequence.time_s, points, rate_hz)
    seen = np.isfinite(points).all(axis=2).any(axis=0)
    if not seen.any():
        raise ExchangeError("No joint of this person was seen, so there are no markers to write.")
    return rate_hz, time_s, points[:, seen], tuple(n for n, s in zip(names, seen, strict=True) if s), notes


def to_trc(sequence: PoseSequence, options: ExportOptions, name: str) -> tuple[bytes, tuple[str, ...]]:
    """A TRC file: tabs, one row a frame, three columns a marker, empty cells for what was not seen.

    Raises:
        ExchangeError: nothing to write, or no scale for poses of the picture only.
    """
    rate_hz, time_s, points, names, notes = even_markers(sequence, options)
    unit = options.units or "m"
    values = points * (1000.0 if unit == "mm" else 1.0)
    decimals = 3 if unit == "mm" else 6
    frames, count = len(time_s), len(names)
    rate = f"{rate_hz:.10g}"
    file_name = " ".join(name.split())
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{file_name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{count}\t{unit}\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, count + 1)),
        "",
    ]
    for number, (second, row) in enumerate(zip(time_s, values.reshape(frames, -1), strict=True), start=1):
        cells = (f"{value:.{decimals}f}" if math.isfinite(value) else "" for value in row)
        lines.append(f"{number}\t{second:.6f}\t" + "\t".join(cells))
    return ("\n".join(lines) + "\n").encode(), notes


def to_mot(sequence: PoseSequence, options: ExportOptions) -> tuple[bytes, tuple[str, ...]]:
    """A MOT file: joint angles in degrees under OpenSim's coordinate names, on even times.

    Angles come from the points in space where there are any, else from the picture. Pelvis and trunk are one line here
    (hips to neck), so ``pelvis_tilt`` is the trunk's lean (backwards positive) and ``lumbar_extension`` stays the
    model's own. Coordinates that one camera cannot measure are left out: OpenSim keeps its defaults for them. What was
    not seen is NaN.

    Raises:
        ExchangeError: no angle was seen.
    """
    rate_hz = options.rate_hz or rate_of(sequence)
    space = sequence.xyz_m is not None and bool(np.isfinite(sequence.xyz_m).any())
    found = angles(sequence, space=space)
    values = np.stack([found[ours].value_deg for ours in COORDINATES], axis=1)
    values[:, 0] -= 90.0  # the trunk stands at 90 degrees, OpenSim's pelvis at 0
    time_s, values = on_even_times(sequence.time_s, values, rate_hz)
    seen = np.isfinite(values).any(axis=0)
    if not seen.any():
        raise ExchangeError("No joint angle of this person could be measured, so there is no motion to write.")
    names = [theirs for theirs, known in zip(COORDINATES.values(), seen, strict=True) if known]
    values = values[:, seen]
    lines = [
        "Coordinates",
        "version=1",
        f"nRows={len(time_s)}",
        f"nColumns={len(names) + 1}",
        "inDegrees=yes",
        "",
        "Units are S.I. units (second, meters, Newtons, ...)",
        "If the header above contains a line with 'inDegrees', this indicates whether rotational values are in "
        "degrees (yes) or radians (no).",
        "",
        "endheader",
        "\t".join(["time", *names]),
    ]
    for second, row in zip(time_s, values, strict=True):
        lines.append("\t".join([f"{second:.6f}", *(f"{v:.4f}" if math.isfinite(v) else "NaN" for v in row)]))
    where = "in space" if space else "in the picture: true only for movement across the view, filmed from the side"
    note = f"Angles {where}; pelvis_tilt is the lean of the trunk from hips to neck."
    return ("\n".join(lines) + "\n").encode(), (note,)


@dataclass(frozen=True, eq=False)
class Markers:
    """Markers of a file: (T,) seconds, names, (T, M, 3) in ``unit``; NaN where a marker was not seen."""

    time_s: Array
    names: tuple[str, ...]
    points: Array
    unit: str
    rate_hz: float


def read_trc(text: str, fps: float | None = None) -> Markers:
    """A TRC file. Raises ExchangeError in words.

    Args:
        fps: frames a second where the Time column is missing or does not increase.
    """
    rows = [line.rstrip("\r").split("\t") for line in text.split("\n")]
    head = next((n for n, row in enumerate(rows[:12]) if row[0].strip().lower() in ("frame#", "frame")), None)
    if head is None or head < 1:
        raise ExchangeError("This is no TRC file: the line that begins with Frame# is missing.")
    places = [(column, cell.strip()) for column, cell in enumerate(rows[head]) if column >= 2 and cell.strip()]
    if not places:
        raise ExchangeError("This TRC file names no marker in its Frame# line.")
    described = dict(zip((c.strip().lower() for c in rows[head - 2]), rows[head - 1], strict=False)) if head > 1 else {}
    body = [row for row in rows[head + 2 :] if row[0].strip()]
    if len(body) > MOST_FRAMES:
        raise ExchangeError(f"This TRC file has {len(body)} frames; split it, {MOST_FRAMES} are the most.")
    if not body:
        raise ExchangeError("This TRC file has no frames under its header.")
    width = max(column for column, _ in places) + 3
    table = np.full((len(body), width), np.nan)
    for number, row in enumerate(body):
        for column, cell in enumerate(row[:width]):
            table[number, column] = _number(cell, number + head + 3)
    time_s = table[:, 1]
    rate_hz = _rate(described.get("datarate", ""))
    if not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
        rate_hz = fps or rate_hz
        if not math.isfinite(rate_hz):
            raise ExchangeError("The Time column of this TRC file does not increase; give the frames a second (--fps).")
        time_s = np.arange(len(body)) / rate_hz
    points = np.stack([table[:, column : column + 3] for column, _ in places], axis=1)
    return Markers(
        time_s, tuple(name for _, name in places), points, described.get("units", "").strip().lower(), rate_hz
    )


def _number(cell: str, line: int) -> float:
    cell = cell.strip()
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise ExchangeError(f"Line {line} of this TRC file holds {cell[:30]!r} where a number belongs.") from None
    return value if math.isfinite(value) else math.nan


def _rate(cell: str) -> float:
    try:
        rate_hz = float(cell)
    except ValueError:
        return math.nan
    return rate_hz if 0.1 <= rate_hz <= 10_000 else math.nan
