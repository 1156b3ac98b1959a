"""What importers and exporters share: their errors, options, and poses on an even time base in metres."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from pipeline.anthropometry import pixels_per_metre
from pipeline.poses import Array, PoseSequence, Recording
from pipeline.signal import clean

MOST_FRAMES = 2_000_000  # 9 hours at 60 frames a second; a larger frame number is a damaged file
_JITTER = 0.1  # of a frame: timestamps this near to an even grid count as even
_LONGEST_STEP = 3.0  # frames: nothing is interpolated across a longer hole in the timestamps
_FEET = ("heel", "foot_index", "big_toe", "small_toe", "foot", "ankle")


class ExchangeError(ValueError):
    """A file cannot be read or written; the message says why and what to do."""


@dataclass(frozen=True)
class ExportOptions:
    """How poses are written.

    person: whose poses; default is who was seen longest in files of one person, everybody in tables.
    units: of TRC and C3D lengths, m or mm; default m in TRC (as Pose2Sim), mm in C3D (as motion capture).
    origin: of TRC and C3D, hips keeps every frame centred on the hips as the model gives it, floor sets the lowest foot
        of every frame on the floor (right for squats, wrong for jumps).
    markers: opensim writes body and feet under the names that Pose2Sim's OpenSim models use, all writes every joint.
    rate_hz: frames a second of TRC, MOT, C3D and BVH; default is the clip's own.
    height_m: the person's height, which scales poses that were only found in the picture.
    filtered: left and right repaired, gaps filled, smoothed (Butterworth, 6 Hz) before writing.
    """

    person: int | None = None
    units: str = ""
    origin: str = "hips"
    markers: str = "opensim"
    rate_hz: float | None = None
    height_m: float | None = None
    filtered: bool = False

    def __post_init__(self) -> None:
        for name, known in (
            ("units", ("", "m", "mm")),
            ("origin", ("hips", "floor")),
            ("markers", ("opensim", "all")),
        ):
            if getattr(self, name) not in known:
                choices = " or ".join(word for word in known if word)
                raise ExchangeError(f"{name} is {getattr(self, name)!r}; choose {choices}.")
        if self.rate_hz is not None and not 0.1 <= self.rate_hz <= 10_000:
            raise ExchangeError(f"a rate of {self.rate_hz} frames a second is not one; give 0.1 to 10000.")


@dataclass(frozen=True)
class ImportOptions:
    """What a pose file does not say about itself.

    file_format: auto, or the name of the format where it is not recognised.
    fps: frames a second, where the file has no times.
    size: of the picture as WIDTHxHEIGHT in pixels, where the file has none.
    units: of TRC and C3D, auto, m, cm, mm or px.
    up: the file's vertical axis in space, y or z.
    turn_deg: of TRC and C3D, people are turned about the vertical by this much before they are looked at along z.
    subject: whose movement it is.
    tags: free words.
    """

    file_format: str = "auto"
    fps: float | None = None
    size: str = ""
    units: str = "auto"
    up: str = "y"
    turn_deg: float = 0.0
    subject: str = ""
    tags: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.fps is not None and not 0.1 <= self.fps <= 10_000:
            raise ExchangeError(f"{self.fps} frames a second is not a frame rate; give 0.1 to 10000.")
        if self.units not in ("auto", "m", "cm", "mm", "px"):
            raise ExchangeError(f"units is {self.units!r}; choose auto, m, cm, mm or px.")
        if self.up not in ("y", "z"):
            raise ExchangeError(f"the axis that points up is {self.up!r}; choose y or z.")
        if not abs(self.turn_deg) <= 360:
            raise ExchangeError(f"a turn of {self.turn_deg} degrees is not one; give -360 to 360.")
        self.image_size()

    def image_size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None when they were not given. Raises ExchangeError."""
        if not self.size:
            return None
        found = re.fullmatch(r"\s*(\d{1,5})\s*[xX×*,]\s*(\d{1,5})\s*", self.size)
        if not found or "0" in (found[1].lstrip("0") or "0", found[2].lstrip("0") or "0"):
            raise ExchangeError(f"the picture's size must look like 1280x720, got {self.size[:40]!r}.")
        return int(found[1]), int(found[2])


def rate_of(sequence: PoseSequence | Recording, fallback: float = 30.0) -> float:
    """Frames a second, from the timestamps; ``fallback`` for fewer than two frames."""
    steps = np.diff(sequence.time_s)
    if not len(steps):
        return fallback
    even = float(len(steps) / (sequence.time_s[-1] - sequence.time_s[0]))
    usual = float(1 / np.median(steps))
    rate = even if abs(even / usual - 1) < 0.01 else usual
    return round(rate) if abs(rate - round(rate)) < 1e-4 * rate else round(rate, 6)


def on_even_times(time_s: Array, values: Array, rate_hz: float) -> tuple[Array, Array]:
    """Values on an even time base, as TRC, MOT and C3D need it.

    Timestamps that are even within a tenth of a frame keep their values as they are; others are interpolated
    linearly between neighbouring frames, never across missing values or across more than three frames.

    Args:
        time_s: (T,) seconds.
        values: (T, ...).

    Returns:
        (N,) seconds from the first timestamp on, and (N, ...) values.
    """
    if len(time_s) < 2:
        return time_s, values
    count = int(np.floor((time_s[-1] - time_s[0]) * rate_hz + _JITTER)) + 1
    if count > MOST_FRAMES:
        raise ExchangeError(f"{count} frames are too many for one file; write a part of the clip or lower the rate.")
    even = time_s[0] + np.arange(count) / rate_hz
    if count == len(time_s) and np.abs(even - time_s).max() <= _JITTER / rate_hz:
        return even, values
    after = np.clip(np.searchsorted(time_s, even, side="right"), 1, len(time_s) - 1)
    steps = np.diff(time_s)
    share = np.clip((even - time_s[after - 1]) / steps[after - 1], 0.0, 1.0)
    weight = share.reshape(-1, *[1] * (values.ndim - 1))
    mixed = np.where(weight == 0, values[after - 1], np.where(weight == 1, values[after], np.nan))
    between = (1 - weight) * values[after - 1] + weight * values[after]
    mixed = np.where(np.isfinite(mixed), mixed, between)
    hole = (steps[after - 1] > _LONGEST_STEP * np.median(steps)) & (share > 0) & (share < 1)
    mixed[hole] = np.nan
    return even, mixed


def one_person(recording: Recording, options: ExportOptions) -> PoseSequence:
    """The person to write, filtered when that is asked for. Raises ExchangeError in words."""
    if not recording.people:
        raise ExchangeError("Nobody was found in this clip, so there are no poses to write; CSV and JSON can be empty.")
    if options.person is None:
        person = max(recording.people, key=lambda p: p.frames_seen)
    else:
        found = [p for p in recording.people if p.person == options.person]
        if not found:
            ids = ", ".join(str(p.person) for p in recording.people)
            raise ExchangeError(f"There is no person {options.person} in this clip; there is: {ids}.")
        person = found[0]
    if not person.frames_seen:
        raise ExchangeError(f"Person {person.person} was seen in no frame, so there are no poses to write.")
    return clean(person) if options.filtered else person


def in_space(sequence: PoseSequence, options: ExportOptions) -> tuple[Array, tuple[str, ...]]:
    """(T, J, 3) metres, x picture right, y up, z towards the camera (right-handed); and what to know about them.

    Poses that were only found in the picture lie in the plane z = 0, scaled by the person's height.

    Raises:
        ExchangeError: there are no points in space and no height to scale the picture with.
    """
    notes: list[str] = []
    if sequence.xyz_m is not None and np.isfinite(sequence.xyz_m).any():
        points = np.array(sequence.xyz_m)
        if sequence.root_m is not None and options.origin == "hips":
            points = points + sequence.root_m[:, None]
            notes.append("The hips move through space as the model found them.")
        else:
            notes.append("One camera guesses the depth (z): trust x and y more.")
    else:
        points, note = _from_picture(sequence, options.height_m)
        notes.append(note)
    if options.origin == "floor":
        points = _on_floor(sequence, points)
        notes.append("The lowest foot of every frame stands on the floor (y = 0): not for jumps.")
    return points, tuple(notes)


def _from_picture(sequence: PoseSequence, height_m: float | None) -> tuple[Array, str]:
    if height_m is None:
        raise ExchangeError(
            "These poses were found in the picture only; give the person's height (--height-m 1.75) to write metres."
        )
    try:
        scale = pixels_per_metre(sequence, height_m)
    except ValueError as error:
        raise ExchangeError(str(error)) from error
    if not np.isfinite(scale) or scale <= 0:
        raise ExchangeError("The person's trunk was never seen, so the picture cannot be scaled to metres.")
    flat = sequence.xy_px * (1, -1) / scale
    hips = flat[:, [sequence.skeleton.index(f"{side}_hip") for side in ("left", "right")]].mean(axis=1)
    first = hips[np.isfinite(hips).all(axis=1)][:1]
    flat = flat - (first[0] if len(first) else np.nanmean(flat, axis=(0, 1)))
    depth = np.where(np.isfinite(flat).all(axis=2), 0.0, np.nan)
    note = f"The picture plane (z = 0), scaled by a height of {height_m:g} m; zero is where the hips were first seen."
    return np.concatenate([flat, depth[..., None]], axis=2), note


def _on_floor(sequence: PoseSequence, points: Array) -> Array:
    feet = [number for number, joint in enumerate(sequence.skeleton.joints) if joint.endswith(_FEET)]
    if not feet:
        raise ExchangeError("These poses have no feet to stand on the floor; use origin hips.")
    heights = points[:, feet, 1]
    known = np.isfinite(heights).any(axis=1)
    lowest = np.where(known, np.where(np.isfinite(heights), heights, np.inf).min(axis=1), np.nan)
    return np.asarray(points - np.stack([np.zeros_like(lowest), lowest, np.zeros_like(lowest)], axis=1)[:, None])


_PX_PER_M = 400.0  # of a picture that is made of poses in space
_LARGEST_PICTURE_PX = 4000.0


def picture_of_space(points: Array) -> tuple[Array, tuple[int, int]]:
    """Points in space as a camera far in front of them sees them (it looks along -z): pixels, and the picture's size.

    400 pixels a metre, or as many as keep the picture within 4000 pixels, with a margin around everything.

    Args:
        points: (T, J, 3) metres, y up; NaN where not seen.

    Returns:
        (T, J, 2) pixels, and (width, height).
    """
    flat = points[..., :2] * (1, -1)
    known = np.isfinite(points).all(axis=2)
    if not known.any():
        return np.full(flat.shape, np.nan), (0, 0)
    low, high = flat[known].min(axis=0), flat[known].max(axis=0)
    margin = 0.1 * max(float((high - low).max()), 1e-6)
    scale = min(_PX_PER_M, _LARGEST_PICTURE_PX / (float((high - low).max()) + 2 * margin))
    width, height = np.ceil((high - low + 2 * margin) * scale).astype(int)
    xy_px = np.where(known[..., None], (flat - low + margin) * scale, np.nan)
    return xy_px, (max(1, int(width)), max(1, int(height)))
