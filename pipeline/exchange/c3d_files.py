"""C3D, the file of motion-capture laboratories, written and read by ezc3d (Michaud and Begon 2021, JOSS 6(58):2911).

Axes: x the picture's right, y up, z towards the camera, right-handed; ``POINT:X_SCREEN`` and ``Y_SCREEN`` say so. A
marker that was not seen has residual -1, as the format asks for (c3d.org, "The C3D file format").
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import __version__
from pipeline.exchange.base import MOST_FRAMES, ExchangeError, ExportOptions
from pipeline.exchange.opensim import Markers, even_markers
from pipeline.poses import PoseSequence


def to_c3d(sequence: PoseSequence, options: ExportOptions, name: str) -> tuple[bytes, tuple[str, ...]]:
    """A C3D file with one point a joint. ``name`` is the trial's.

    Raises:
        ExchangeError: nothing to write, or no scale for poses of the picture only.
    """
    import ezc3d  # type: ignore[import-untyped]

    rate_hz, _, points, names, notes = even_markers(sequence, options)
    unit = options.units or "mm"
    values = points * (1000.0 if unit == "mm" else 1.0)
    seen = np.isfinite(values).all(axis=2)  # (N, M)
    homogeneous = np.ones((4, len(names), len(values)))
    homogeneous[:3] = np.where(seen[..., None], values, np.nan).transpose(2, 1, 0)
    file: Any = ezc3d.c3d()
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


_READER = """
import sys
import ezc3d, numpy
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]), int(sys.argv[3])))
except (ImportError, ValueError, OSError):
    pass
file = ezc3d.c3d(sys.argv[1])
point = file["parameters"]["POINT"]
unit = str(numpy.ravel(point["UNITS"]["value"])[0]) if "UNITS" in point else ""
numpy.savez(sys.argv[2], rate=float(numpy.ravel(point["RATE"]["value"])[0]), unit=unit,
            names=numpy.array([str(name) for name in point["LABELS"]["value"]], dtype=str),
            points=numpy.asarray(file["data"]["points"], dtype=float)[:3].transpose(2, 1, 0))
"""
_READER_BYTES = 8 << 30  # of address space
_READER_S = 120.0


def read_c3d(path: Path) -> Markers:
    """The points of a C3D file. Raises ExchangeError in words.

    ezc3d runs in a process of its own: a damaged file makes it crash (seen with single changed bytes), and a crash must
    not take the dashboard or the service with it.
    """
    if path.read_bytes()[1:2] != b"\x50":
        raise ExchangeError(f"{path.name} is no C3D file: its second byte is not the format's 0x50.")
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        out = Path(folder) / "points.npz"
        command = [sys.executable, "-c", _READER, str(path.resolve()), str(out), str(_READER_BYTES)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_READER_S, check=False, cwd=folder)
        except subprocess.TimeoutExpired:
            raise ExchangeError(f"{path.name} took longer than {_READER_S:.0f} s to read; it is damaged.") from None
        if done.returncode != 0 or not out.is_file():
            raise ExchangeError(f"{path.name} cannot be read as C3D: it is damaged, or not one; export it again.")
        with np.load(out, allow_pickle=False) as found:
            rate_hz, unit = float(found["rate"]), str(found["unit"]).strip().lower()
            names, points = [str(name) for name in found["names"]], np.array(found["points"])
    if not (math.isfinite(rate_hz) and 0.1 <= rate_hz <= 10_000):
        raise ExchangeError(f"{path.name} claims {rate_hz:g} frames a second; export it again.")
    if len(points) > MOST_FRAMES:
        raise ExchangeError(f"{path.name} has {len(points)} frames; split it, {MOST_FRAMES} are the most.")
    names = names[: points.shape[1]]
    points = np.where(np.abs(points[:, : len(names)]) < 1e9, points[:, : len(names)], np.nan)
    return Markers(np.arange(len(points)) / rate_hz, tuple(names), points, unit, rate_hz)
