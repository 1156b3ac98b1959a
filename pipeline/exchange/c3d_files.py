"""C3D, the file of motion-capture laboratories, written and read by ezc3d (Michaud and Begon 2021, JOSS 6(58):2911).

Axes: x the picture's right, y up, z towards the camera, right-handed; ``POINT:X_SCREEN`` and ``Y_SCREEN`` say so. A
marker that was not seen has residual -1, as the format asks for (c3d.org, "The C3D file format").
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.exchange.base import MOST_FRAMES, ExchangeError, ExportOptions
from pipeline.exchange.opensim import Markers, even_markers
from pipeline.poses import PoseSequence


def _ezc3d() -> Any:
    import ezc3d  # type: ignore[import-untyped]

    return ezc3d


def to_c3d(sequence: PoseSequence, options: ExportOptions, name: str) -> tuple[bytes, tuple[str, ...]]:
    """A C3D file with one point a joint. ``name`` is the trial's.

    Raises:
        ExchangeError: nothing to write, or no scale for poses of the picture only.
    """
    rate_hz, _, points, names, notes = even_markers(sequence, options)
    unit = options.units or "mm"
    values = points * (1000.0 if unit == "mm" else 1.0)
    seen = np.isfinite(values).all(axis=2)  # (N, M)
    homogeneous = np.ones((4, len(names), len(values)))
    homogeneous[:3] = np.where(seen[..., None], values, np.nan).transpose(2, 1, 0)
    file = _ezc3d().c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [rate_hz]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(names)
    file.add_parameter("POINT", "UNITS", [unit])
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    file.add_parameter("MANUFACTURER", "COMPANY", ["Kinoscope"])
    file.add_parameter("MANUFACTURER", "SOFTWARE", [f"Kinoscope {__version__}"])
    file.add_parameter("TRIAL", "NAME", [name.encode("ascii", "replace").decode()[:120]])
    file["data"]["points"] = homogeneous
    file["data"]["meta_points"]["residuals"] = np.where(seen.T, 0.0, -1.0)[None]
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        path = Path(folder) / "poses.c3d"
        file.write(str(path))
        return path.read_bytes(), notes


def read_c3d(path: Path) -> Markers:
    """The points of a C3D file. Raises ExchangeError in words."""
    if path.read_bytes()[1:2] != b"\x50":
        raise ExchangeError(f"{path.name} is no C3D file: its second byte is not the format's 0x50.")
    try:
        file = _ezc3d().c3d(str(path))
        point = file["parameters"]["POINT"]
        rate_hz = float(np.ravel(point["RATE"]["value"])[0])
        names = [str(label) for label in point["LABELS"]["value"]]
        points = np.asarray(file["data"]["points"], dtype=np.float64)[:3].transpose(2, 1, 0)
        unit = str(np.ravel(point["UNITS"]["value"])[0]).strip().lower() if "UNITS" in point else ""
    except (RuntimeError, ValueError, KeyError, IndexError, OSError, UnicodeDecodeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ExchangeError(f"{path.name} cannot be read as C3D ({reason}); export it again.") from error
    if not (math.isfinite(rate_hz) and 0.1 <= rate_hz <= 10_000):
        raise ExchangeError(f"{path.name} claims {rate_hz:g} frames a second; export it again.")
    if len(points) > MOST_FRAMES:
        raise ExchangeError(f"{path.name} has {len(points)} frames; split it, {MOST_FRAMES} are the most.")
    names = names[: points.shape[1]]
    points = np.where(np.isfinite(points[:, : len(names)]), points[:, : len(names)], np.nan)
    return Markers(np.arange(len(points)) / rate_hz, tuple(names), points, unit, rate_hz)
