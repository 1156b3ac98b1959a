"""Poses that somebody else's program found become a run, so that everything here works on them without inference.

Confidences are the file's, cut to 0..1. Where a file has none (TRC, C3D, a table without visibility), a point that is
there counts as sure.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.drawing import draw_people
from pipeline.exchange import json_files, tables
from pipeline.exchange.base import ExchangeError, ImportOptions, picture_of_space, rate_of
from pipeline.exchange.boxes import poses_in_boxes
from pipeline.exchange.c3d_files import read_c3d
from pipeline.exchange.markers import joint_named, skeleton_for
from pipeline.exchange.opensim import Markers, read_trc
from pipeline.exchange.people import Frames, assemble, extent, largest, reordered, scaled
from pipeline.media import probe, read_frames, write_image
from pipeline.poses import Array, MediaInfo, ModelInfo, PoseSequence, Recording, SchemaError
from pipeline.runs import Run, RunStore, read_poses
from pipeline.skeletons import Skeleton

IMPORT_FORMATS: dict[str, str] = {
    "mmpose": "MMPose JSON",
    "mmdet": "MMDet JSON (boxes; the key points are found in the clip)",
    "openpose": "OpenPose JSON (a folder, one file a frame)",
    "alphapose": "AlphaPose JSON",
    "trc": "TRC of Sports2D, Pose2Sim or OpenSim",
    "c3d": "C3D of a motion-capture laboratory",
    "mediapipe": "MediaPipe landmarks as CSV",
    "kinoscope": "Kinoscope's own JSON, CSV or Parquet",
}
"""Names of the formats that are read, and what they are."""

_SHARES_BELOW = 2.0  # coordinates up to here are shares of the picture, not pixels
_LARGEST_ROOM_M = 20.0  # markers further out than this are pixels: Sports2D writes "m" over both
_SCALES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "meters": 1.0, "metres": 1.0, "millimeters": 0.001}


@dataclass(frozen=True, eq=False)
class Imported:
    """Poses of a file, its format (``IMPORT_FORMATS``), and what to know about them."""

    recording: Recording
    file_format: str
    notes: tuple[str, ...]


def import_poses(
    files: Sequence[Path] | Path, options: ImportOptions | None = None, clip: Path | None = None
) -> Imported:
    """Poses from files of another program.

    Args:
        files: one file; or all files of an OpenPose folder, or the folder.
        clip: the video they were found in; gives the times, the size and, in a run, the pictures.

    Raises:
        ExchangeError, MediaError, RunError, SchemaError: in words: what is wrong, or what to say about it.
    """
    options = options or ImportOptions()
    paths = _files([files] if isinstance(files, Path) else list(files))
    try:
        return _read(paths, options, clip)
    except OSError as error:
        raise ExchangeError(f"{paths[0].name} cannot be read ({error.strerror or error}).") from error


def import_run(
    files: Sequence[Path] | Path,
    store: RunStore,
    options: ImportOptions | None = None,
    clip: Path | None = None,
    name: str = "",
) -> Run:
    """The poses of ``import_poses`` as a run of the store. Raises the same, and RunError.

    Args:
        name: what the user calls it; default is the first file's name.
    """
    options = options or ImportOptions()
    given = [files] if isinstance(files, Path) else list(files)
    paths = _files(given)
    imported = import_poses(given, options, clip)
    recording = imported.recording
    shown = name or (given[0].name if len(given) == 1 else paths[0].name)
    with store.create(shown) as builder:
        source = replace(recording.source, name=shown, sha256=_digest(paths))
        if clip is not None:
            kept = builder.keep_source(clip)
            source = replace(source, name=name or str(kept["name"]), sha256=str(kept["sha256"]))
        recording = replace(recording, source=source)
        write_image(builder.folder / "thumbnail.jpg", _thumbnail(recording))
        builder.finish(
            recording,
            parameters={**asdict(options), "imported": imported.file_format, "notes": list(imported.notes)},
            command=_command(given, options, clip),
            subject=options.subject,
            tags=list(options.tags),
        )
    return store.get(builder.id)


def _files(given: list[Path]) -> list[Path]:
    """The files themselves; those of a folder in the order of their names."""
    paths: list[Path] = []
    for path in given:
        if path.is_dir():
            paths += sorted(p for p in path.iterdir() if p.suffix.lower() == ".json" and p.is_file())
            if not paths:
                raise ExchangeError(f"The folder {path.name} holds no JSON files, which is what OpenPose writes.")
        elif path.is_file():
            paths.append(path)
        else:
            raise ExchangeError(f"There is no file {path}.")
    if not paths:
        raise ExchangeError("No file was given to import.")
    return paths


def _read(paths: list[Path], options: ImportOptions, clip: Path | None) -> Imported:
    suffix = paths[0].suffix.lower()
    wanted = options.file_format
    if wanted not in ("auto", *IMPORT_FORMATS):
        raise ExchangeError(f"there is no format {wanted!r}; choose auto or one of: {', '.join(IMPORT_FORMATS)}.")
    if len(paths) > 1 and suffix != ".json":
        raise ExchangeError("Only JSON comes in several files, one a frame; import other files one by one.")
    if suffix == ".c3d" or wanted == "c3d":
        return _from_markers(read_c3d(paths[0]), "c3d", options, clip)
    if suffix == ".parquet":
        return Imported(_own_parquet(paths[0]), "kinoscope", ())
    if suffix == ".json" or wanted in ("mmpose", "mmdet", "openpose", "alphapose"):
        return _from_json(paths, wanted, options, clip)
    text = _text(paths[0])
    if suffix == ".trc" or wanted == "trc" or text.startswith("PathFileType"):
        return _from_markers(read_trc(text, options.fps), "trc", options, clip)
    table = tables.read_csv(text)
    if tables.is_tidy(table) and wanted in ("auto", "kinoscope"):
        recording = tables.read_tidy(table, options.image_size() or _clip_size(clip))
        return Imported(_described(recording, "kinoscope", clip), "kinoscope", ())
    found = tables.read_mediapipe(table)
    return _from_frames(found.frames, found.skeleton, "mediapipe", options, clip, found.time_s)


def _from_json(paths: list[Path], wanted: str, options: ImportOptions, clip: Path | None) -> Imported:
    documents = [json_files.load(path) for path in paths]
    kind = json_files.format_of(documents[0]) if wanted == "auto" else wanted
    if kind == "kinoscope":
        return Imported(_own_json(paths[0]), kind, ())
    if kind == "mmdet":
        return _from_boxes(documents, paths, options, clip)
    in_clip = clip is not None
    if kind == "openpose":
        frames, skeleton = json_files.read_openpose(documents, json_files.frame_numbers(paths), in_clip)
    elif kind == "mmpose":
        frames, skeleton = json_files.read_mmpose(documents[0] if len(documents) == 1 else documents, in_clip)
    elif kind == "alphapose" and len(documents) == 1:
        frames, skeleton = json_files.read_alphapose(documents[0])
    else:
        raise ExchangeError(
            f"{paths[0].name} is no pose file that is known here; JSON of MMPose, OpenPose and AlphaPose can be read."
        )
    return _from_frames(frames, skeleton, kind, options, clip, None)


def _from_boxes(documents: list[Any], paths: list[Path], options: ImportOptions, clip: Path | None) -> Imported:
    if clip is None:
        raise ExchangeError(
            "This is MMDet's file: boxes without key points; give the clip as well (--clip), and they are found in it."
        )
    numbers = json_files.frame_numbers(paths)
    if len(documents) == 1 and isinstance(documents[0], list):
        documents, numbers = documents[0], list(range(len(documents[0])))
    boxes = json_files.read_mmdet(documents, numbers)
    _timeline(max(boxes, default=-1) + 1, None, options, clip)  # is it the boxes' clip?
    recording = _described(poses_in_boxes(boxes, clip), "mmdet", clip)
    return Imported(recording, "mmdet", (f"Key points by {recording.model.name}, in the boxes of the file.",))


def _from_frames(
    frames: Frames,
    skeleton: Skeleton,
    kind: str,
    options: ImportOptions,
    clip: Path | None,
    own_times: Array | None,
) -> Imported:
    notes: list[str] = []
    size = options.image_size() or _clip_size(clip)
    reach = largest(frames)
    if reach <= _SHARES_BELOW:
        if size is None:
            raise ExchangeError(
                "These coordinates are shares of the picture; give its size in pixels (--size 1280x720) or the clip."
            )
        frames = scaled(frames, size)
    elif size is None:
        size = extent(frames)
        notes.append(f"The picture's size is not in the file; {size[0]} x {size[1]} px holds every point.")
    count = max(frames, default=-1) + 1
    time_s = _timeline(count, own_times, options, clip)
    model = ModelInfo(name=f"imported: {IMPORT_FORMATS[kind]}", parameters={"format": kind})
    source = MediaInfo(width=size[0], height=size[1])
    recording = assemble(frames, skeleton, time_s, size, source, model)
    if not recording.people:
        notes.append("Nobody is in this file.")
    return Imported(_described(recording, kind, clip), kind, tuple(notes))


def _timeline(count: int, own_times: Array | None, options: ImportOptions, clip: Path | None) -> Array:
    """(T,) seconds for at least ``count`` frames: the clip's, the file's own, or even ones. Raises ExchangeError."""
    if clip is not None:
        times = np.array([frame.time_s for frame in read_frames(clip)])
        if len(times) < count:
            raise ExchangeError(f"The file has poses for {count} frames and the clip has {len(times)}; give its clip.")
        return times
    if own_times is not None and np.isfinite(own_times).all() and (np.diff(own_times) > 0).all():
        return own_times
    if options.fps is None:
        raise ExchangeError("The file has no times; give the frames a second of its clip (--fps 30) or the clip.")
    return np.arange(count) / options.fps


def _from_markers(found: Markers, kind: str, options: ImportOptions, clip: Path | None) -> Imported:
    joints = [joint_named(name) for name in found.names]
    known = [joint for joint in joints if joint]
    skeleton = skeleton_for(known)
    if skeleton is None:
        if known:
            few = ", ".join(name for name, joint in zip(found.names, joints, strict=True) if joint)
            raise ExchangeError(f"Too few joints are known ({few}); hips, shoulders, knees and ankles are needed.")
        names = ", ".join(found.names[:6])[:80]
        raise ExchangeError(
            f"The markers of this file ({names} ...) are no joints that are known here; Pose2Sim's names are (LKnee)."
        )
    # where two markers mean one joint, the first counts
    columns = {joint: n for n, joint in reversed(list(enumerate(joints))) if joint and joint in skeleton}
    points = found.points[:, list(columns.values())]
    unit = options.units if options.units != "auto" else _unit(found.unit, points)
    left_out = len(found.names) - len(columns)
    notes = [f"{left_out} of {len(found.names)} markers are no joints of {skeleton.name}."] if left_out else []
    time_s = found.time_s
    if clip is not None:
        time_s = _timeline(len(time_s), None, options, clip)[: len(time_s)]
    grid = np.stack([reordered(row, list(columns), skeleton) for row in points])
    if unit == "px":
        sequence = _in_picture(grid[..., :2], skeleton, time_s, options.image_size() or _clip_size(clip))
    else:
        grid = grid * _SCALES.get(unit, 1.0)
        if options.up == "z":
            grid = np.stack([grid[..., 0], grid[..., 2], -grid[..., 1]], axis=-1)
        if _is_plane(grid):
            notes.append("z never changes: this is a picture plane, taken as one with 400 pixels a metre.")
            flat_px, size = picture_of_space(np.where(np.isfinite(grid).all(axis=2)[..., None], grid, np.nan))
            sequence = _in_picture(flat_px, skeleton, time_s, size)
        else:
            notes.append("Poses in space: their picture is what a camera far away sees that looks along the z axis.")
            sequence = _in_space(_turned(grid, options.turn_deg), skeleton, time_s)
    width, height = sequence.image_size
    model = ModelInfo(name=f"imported: {IMPORT_FORMATS[kind]}", parameters={"format": kind, "units": unit})
    recording = Recording((sequence,), time_s, MediaInfo(width=width, height=height, frames=len(time_s)), model)
    return Imported(_described(recording, kind, clip), kind, tuple(notes))


def _unit(declared: str, points: Array) -> str:
    """The unit of lengths; Sports2D declares metres over pixels, so what is larger than any room is pixels."""
    scale = _SCALES.get(declared, 1.0)
    known = np.abs(points[np.isfinite(points)]) * scale
    if declared in ("px", "pixels") or (len(known) and np.percentile(known, 90) > _LARGEST_ROOM_M and scale == 1.0):
        return "px"
    return declared if declared in _SCALES else "m"


def _is_plane(points: Array) -> bool:
    """True when no marker's z ever changes: Sports2D gives every joint a depth of its own and keeps it."""
    depth = points[..., 2]
    moving = [np.ptp(column[np.isfinite(column)]) > 1e-6 for column in depth.T if np.isfinite(column).any()]
    return len(depth) > 1 and not any(moving)


def _turned(points: Array, degrees: float) -> Array:
    """(T, J, 3) points turned about the vertical: at 90 degrees what lay at z lies at x."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([cosine * x + sine * z, y, cosine * z - sine * x], axis=-1)


def _in_picture(xy_px: Array, skeleton: Skeleton, time_s: Array, size: tuple[int, int] | None) -> PoseSequence:
    seen = np.isfinite(xy_px).all(axis=2)
    xy_px = np.where(seen[..., None], xy_px, np.nan)
    if size is None:
        corner = np.ceil(xy_px[seen].max(axis=0)) + 40 if seen.any() else np.zeros(2)
        size = (int(np.clip(corner[0], 0, 100_000)), int(np.clip(corner[1], 0, 100_000)))
    return PoseSequence(skeleton, time_s, xy_px, np.where(seen, 1.0, np.nan), None, size, 1)


def _in_space(points: Array, skeleton: Skeleton, time_s: Array) -> PoseSequence:
    """Hip-centred metres with the way of the hips beside them; y is 0 where the lowest marker ever was."""
    seen = np.isfinite(points).all(axis=2)
    points = np.where(seen[..., None], points, np.nan)
    hips = points[:, [skeleton.index("left_hip"), skeleton.index("right_hip")]].mean(axis=1)
    if "hip_center" in skeleton:
        own = points[:, skeleton.index("hip_center")]
        hips = np.where(np.isfinite(own), own, hips)
    if not np.isfinite(hips).any():
        raise ExchangeError("This file has no hips, which is where poses are centred; export the hip markers, too.")
    floor = float(points[..., 1][seen].min())
    xy_px, size = picture_of_space(points)
    return PoseSequence(
        skeleton,
        time_s,
        xy_px,
        np.where(seen, 1.0, np.nan),
        points - hips[:, None],
        size,
        1,
        root_m=hips - (0.0, floor, 0.0),
    )


def _own_json(path: Path) -> Recording:
    try:
        return Recording.from_json(path.read_bytes())
    except ValueError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ExchangeError(f"{path.name} lacks parts of a Kinoscope file ({error}); export it again.") from error


def _own_parquet(path: Path) -> Recording:
    try:
        return read_poses(path)
    except SchemaError:
        raise
    except (pa.ArrowException, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).replace(str(path), path.name).split())[:200]
        raise ExchangeError(f"{path.name} cannot be read as Kinoscope's Parquet ({reason}).") from error


def _described(recording: Recording, kind: str, clip: Path | None) -> Recording:
    """The recording with what is known about its source."""
    count = len(recording)
    size = recording.people[0].image_size if recording.people else (recording.source.width, recording.source.height)
    rate_hz = rate_of(recording, recording.source.fps)
    duration_s = float(recording.time_s[-1] - recording.time_s[0]) + 1 / rate_hz if count > 1 else 0.0
    info = MediaInfo(kind="video", width=size[0], height=size[1], container=IMPORT_FORMATS[kind])
    if clip is not None:
        info = probe(clip)
    model = recording.model if recording.model.name else ModelInfo(name=f"imported: {IMPORT_FORMATS[kind]}")
    source = replace(info, fps=rate_hz, duration_s=duration_s, frames=count)
    return Recording(recording.people, recording.time_s, source, model)


def _clip_size(clip: Path | None) -> tuple[int, int] | None:
    if clip is None:
        return None
    info = probe(clip)
    return info.width, info.height


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _thumbnail(recording: Recording) -> Any:
    """The people at a moment with most of them in view, on a dark field."""
    people = recording.people
    width, height = max((p.image_size for p in people), default=(320, 240), key=lambda size: size[0] * size[1])
    scale = 320 / max(width, height, 1)
    image = np.full((max(1, round(height * scale)), max(1, round(width * scale)), 3), 40, np.uint8)
    if people:
        seen = np.sum([p.seen for p in people], axis=0)
        best = np.flatnonzero(seen == seen.max())
        frame = int(best[len(best) // 2]) if len(best) else 0
        drawn = [(p.person, p.xy_px[frame] * scale, np.nan_to_num(p.score[frame], nan=1.0)) for p in people]
        draw_people(image, people[0].skeleton, drawn)
    return image


def _command(given: Sequence[Path], options: ImportOptions, clip: Path | None) -> str:
    """The command line that does the same."""
    shown = [path.name for path in given[:3]] + (["..."] if len(given) > 3 else [])
    parts = ["python -m pipeline import", *map(shlex.quote, shown)]
    if clip is not None:
        parts.append(f"--clip {shlex.quote(clip.name)}")
    for name, value in asdict(options).items():
        if value in (None, "", "auto", (), []) or (name, value) in (("up", "y"), ("turn_deg", 0.0)):
            continue
        for item in value if isinstance(value, tuple) else (value,):
            parts.append(f"--{name.replace('_', '-')} {shlex.quote(str(item))}")
    return " ".join(parts)
