"""Poses in CSV: MediaPipe's landmarks as people write them down, and our own tidy table.

MediaPipe has no file format of its own. Three layouts are common and understood, whatever the case of the letters:
one row a frame with ``x0, y0, z0, v0 ... x32`` (or from 1), with ``left_knee_x`` or ``landmark_25_x``; and one row a
landmark with columns frame, landmark (name or number), x, y, visibility. Coordinates up to 2 are shares of the picture
and need its size; larger ones are pixels. MediaPipe's ``z`` has no metric meaning and is not used;
``world_x`` and so on are metres and are.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.exchange.base import MOST_FRAMES, ExchangeError
from pipeline.exchange.markers import joint_named, skeleton_for
from pipeline.exchange.people import Body, Frames, check_frames
from pipeline.poses import TIDY_COLUMNS, Array, PoseSequence, Recording
from pipeline.skeletons import BLAZEPOSE_33, Skeleton

_JOINTS = len(BLAZEPOSE_33)
_PARTS = {"x": "x", "y": "y", "v": "score", "vis": "score", "visibility": "score", "score": "score", "c": "score"}
_FRAME = ("frame", "frame_number", "frame_id", "frame_index", "frame_idx", "frame_no", "frame#")
_TIME = (
    *(("time_s", 1.0), ("time", 1.0), ("timestamp_s", 1.0), ("seconds", 1.0), ("time_sec", 1.0)),
    *(("timestamp_ms", 1e-3), ("time_ms", 1e-3), ("timestamp", 1.0)),
)
_LANDMARK = ("landmark", "landmark_id", "landmark_index", "landmark_name", "joint", "keypoint", "name", "id", "index")


@dataclass(frozen=True, eq=False)
class Table:
    """Frames of a table, their times where it has a time column, and the bodies' skeleton."""

    frames: Frames
    time_s: Array | None
    skeleton: Skeleton


def read_csv(text: str) -> pd.DataFrame:
    """The table with lower-case column names. Raises ExchangeError."""
    try:
        table = pd.read_csv(io.StringIO(text), sep=None, engine="python", skipinitialspace=True, on_bad_lines="error")
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError, OverflowError) as error:
        raise ExchangeError(f"This file is no table ({' '.join(str(error).split())[:100]}); save it as CSV.") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("pandas", "_csv", "csv"):
            raise ExchangeError(f"This file is no table ({str(error)[:100]}); save it as CSV.") from error
        raise
    table.columns = pd.Index([re.sub(r"\s+", "_", str(column).strip().lower()) for column in table.columns])
    if table.columns.has_duplicates:
        repeated = str(table.columns[table.columns.duplicated()][0])[:40]
        raise ExchangeError(f"Two columns of this table are called {repeated!r}; rename one.")
    if table.empty:
        raise ExchangeError("This table has no rows under its header.")
    return table


def is_tidy(table: pd.DataFrame) -> bool:
    """True for a table that we wrote ourselves."""
    return set(TIDY_COLUMNS[:7]) <= set(table.columns)


def read_tidy(table: pd.DataFrame, size: tuple[int, int] | None) -> Recording:
    """Our own CSV back; without a size the picture is as large as its points ask for. Raises ExchangeError."""
    names = [name for name in TIDY_COLUMNS if name != "joint"]
    columns = {name: _column(table, name) if name in table else np.full(len(table), np.nan) for name in names}
    joints = table["joint"].astype(str).to_numpy()
    skeleton = skeleton_for(tuple(dict.fromkeys(joints)))
    if skeleton is None or not set(joints) <= set(skeleton.joints):
        raise ExchangeError("The joints of this table belong to no skeleton that is known here.")
    frame, person = _wholes(columns["frame"], "frame"), _wholes(columns["person"], "person")
    if frame.max() >= MOST_FRAMES:
        raise ExchangeError(f"The frame number {frame.max()} is no clip's; the table is damaged.")
    if len(set(zip(person, frame, joints, strict=True))) < len(table):
        raise ExchangeError("A joint of this table has two rows for one person and frame; export it again.")
    if not np.isfinite(columns["time_s"]).all():
        raise ExchangeError("The column 'time_s' must hold a number in every row.")
    columns["score"] = np.clip(columns["score"], 0.0, 1.0)
    clean = pd.DataFrame({**columns, "frame": frame, "person": person, "joint": joints})
    time_s = _times(dict(zip(frame.tolist(), columns["time_s"].tolist(), strict=True)))
    assert time_s is not None
    if (np.diff(time_s) <= 0).any():
        raise ExchangeError("The column 'time_s' does not increase from frame to frame; export the table again.")
    extent = clean[["x_px", "y_px"]].max().fillna(0).clip(0, 1e5)
    width, height = size or (int(extent.iloc[0]) + 1, int(extent.iloc[1]) + 1)
    people = tuple(
        PoseSequence.from_frame(clean, skeleton, time_s, (width, height), int(number)) for number in np.unique(person)
    )
    return Recording(people, time_s)


def read_mediapipe(table: pd.DataFrame) -> Table:
    """MediaPipe's landmarks from one of the common layouts. Raises ExchangeError."""
    landmark = next((name for name in _LANDMARK if name in table.columns), None)
    if landmark is not None and {"x", "y"} <= set(table.columns):
        return _long(table, landmark)
    return _wide(table)


def _long(table: pd.DataFrame, landmark: str) -> Table:
    frame_name = next((name for name in _FRAME if name in table.columns), None)
    time, scale = _time_column(table)
    if frame_name is None and time is None:
        raise ExchangeError("This table has one row a landmark and no frame column, so its frames are unknown.")
    places = np.array([_landmark(value) for value in table[landmark]], dtype=int)
    if frame_name is not None:
        frame = _wholes(_column(table, frame_name), frame_name)
    else:
        seconds = np.nan_to_num(_column(table, time or ""))
        frame = np.unique(seconds, return_inverse=True)[1].astype(np.int64)
    frame = frame - frame.min()
    if frame.max() >= MOST_FRAMES:
        raise ExchangeError(f"The frame number {int(frame.max())} is no clip's; the table is damaged.")
    score = next((name for name, part in _PARTS.items() if part == "score" and name in table.columns), None)
    names = ["x", "y", score, *(f"world_{axis}" for axis in "xyz")]
    values = np.stack(
        [_column(table, n) if n and n in table.columns else np.full(len(table), np.nan) for n in names], axis=1
    )
    grid = np.full((int(frame.max()) + 1, _JOINTS, 6), np.nan)
    grid[frame, places] = values
    time_of = {}
    if time is not None:
        seconds = _column(table, time) * scale
        time_of = {int(number): float(second) for number, second in zip(frame, seconds, strict=True)}
    return Table(_frames(grid), _times(time_of), BLAZEPOSE_33)


def _wide(table: pd.DataFrame) -> Table:
    columns: dict[str, tuple[int, int]] = {}
    numbers = [int(found[1]) for c in table.columns if (found := re.fullmatch(r"x_?(\d+)", str(c)))]
    first = 1 if numbers and min(numbers) == 1 and max(numbers) == _JOINTS else 0
    for column in table.columns:
        place = _wide_column(str(column), first)
        if place is not None:
            columns[str(column)] = place
    if len({joint for joint, _ in columns.values()}) < 4:
        raise ExchangeError(
            "This table has no columns that look like MediaPipe's landmarks (x0, y0, v0 ... or left_knee_x ...); "
            "name them so, or save one row a landmark with the columns frame, landmark, x, y, visibility."
        )
    grid = np.full((len(table), _JOINTS, 6), np.nan)
    for name, (joint, part) in columns.items():
        grid[:, joint, part] = _column(table, name)
    time, scale = _time_column(table)
    frames = _frames(grid)
    frame_name = next((name for name in _FRAME if name in table.columns), None)
    numbers_of: NDArray[np.int64] = np.arange(len(table))
    if frame_name is not None and time is None:
        numbers_of = _wholes(_column(table, frame_name), frame_name)
        numbers_of = numbers_of - numbers_of.min()
        frames = {int(numbers_of[number]): bodies for number, bodies in frames.items()}
    seconds = _column(table, time) * scale if time is not None else None
    return Table(check_frames(frames, "This table"), seconds, BLAZEPOSE_33)


def _wide_column(name: str, first: int) -> tuple[int, int] | None:
    """(landmark, place in x, y, score, world x, y, z) of a column; None for any other column."""
    order = ["x", "y", "score", "world_x", "world_y", "world_z"]
    if found := re.fullmatch(r"(x|y|v|vis|visibility)_?(\d{1,3})", name):
        number, part = int(found[2]) - first, _PARTS[found[1]]
        return (number, order.index(part)) if 0 <= number < _JOINTS else None
    if found := re.fullmatch(r"(.+?)_(world_)?(x|y|z|v|vis|visibility|score|c)", name):
        world, part = bool(found[2]), found[3]
        if part == "z" and not world:
            return None
        try:
            place = _landmark(re.sub(r"^(landmark|lm|kp|keypoint|point)_?(?=\d)", "", found[1]))
        except ExchangeError:
            return None
        return place, order.index(f"world_{part}" if world and part in "xyz" else _PARTS[part])
    return None


def _landmark(value: object) -> int:
    text = str(value).strip().rpartition(".")[2] if not isinstance(value, int | float) else str(value)
    text = text.removesuffix(".0")
    if text.isascii() and text.isdigit() and int(text[:6]) < _JOINTS:
        return int(text)
    joint = joint_named(text)
    if joint is None or joint not in BLAZEPOSE_33:
        raise ExchangeError(
            f"{text[:40]!r} is no landmark of MediaPipe's pose; use its 33 names or the numbers 0 to 32."
        )
    return BLAZEPOSE_33.index(joint)


def _frames(grid: Array) -> Frames:
    """(T, 33, 6) x, y, score and metres by frame; MediaPipe's world y points down and z away from the camera."""
    spatial = np.isfinite(grid[..., 3:]).any()
    frames: Frames = {}
    for number, values in enumerate(grid):
        if np.isfinite(values[:, :2]).any():
            xyz_m = values[:, 3:] * (1, -1, -1) if spatial else None
            frames[number] = [Body(values[:, :2], values[:, 2], 1, xyz_m)]
    return frames


def _time_column(table: pd.DataFrame) -> tuple[str | None, float]:
    for name, scale in _TIME:
        if name in table.columns:
            if name == "timestamp":  # milliseconds, as MediaPipe counts, unless it has fractions
                values = _column(table, name)
                scale = 1e-3 if np.array_equal(values, np.round(values)) and np.nanmax(values, initial=0) > 20 else 1.0
            return name, scale
    return None, 1.0


def _times(time_of: dict[int, float]) -> Array | None:
    """(T,) seconds by frame number; frames between known ones are spaced evenly. None without times."""
    if not time_of:
        return None
    known = sorted(time_of)
    return np.interp(np.arange(known[-1] + 1), known, [time_of[number] for number in known])


def _column(table: pd.DataFrame, name: str) -> Array:
    values = pd.to_numeric(table[name], errors="coerce")
    if (values.isna() & table[name].notna()).any():
        bad = str(table[name][values.isna() & table[name].notna()].iloc[0])[:30]
        raise ExchangeError(f"The column {name[:40]!r} holds {bad!r} where a number belongs.")
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.abs(numbers) < 1e9, numbers, np.nan)


def _wholes(values: Array, name: str) -> NDArray[np.int64]:
    if not np.isfinite(values).all() or (values != np.round(values)).any() or (values < 0).any():
        raise ExchangeError(f"The column {name[:40]!r} must hold whole numbers from 0 in every row.")
    return values.astype(np.int64)
