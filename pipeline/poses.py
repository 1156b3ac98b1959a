"""The vocabulary: one person through one clip (``PoseSequence``), everybody in one clip (``Recording``).

Missing values are NaN, time is seconds, pixels are those of the upright picture. Everything here is immutable and
validated on construction; errors say what was expected, what came and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from pipeline.skeletons import BLAZEPOSE_33, SKELETONS, Skeleton, mapping

Array = NDArray[np.float64]

SCHEMA_VERSION = 1
TIDY_COLUMNS = ("person", "frame", "time_s", "joint", "x_px", "y_px", "score", "raw_score", "x_m", "y_m", "z_m")


class SchemaError(ValueError):
    """A file was written by a newer version, or is not what it claims to be."""


def check_schema(version: object, what: str) -> None:
    """Raises SchemaError in words when ``version`` is not one that this program reads."""
    if not isinstance(version, int):
        raise SchemaError(f"{what} has no schema_version: it was not written by Kinoscope, or is damaged.")
    if version > SCHEMA_VERSION:
        raise SchemaError(
            f"{what} was made by a newer Kinoscope (schema {version}; this one reads up to {SCHEMA_VERSION}). "
            "Update Kinoscope to open it."
        )


@dataclass(frozen=True)
class MediaInfo:
    """What is known about a clip or a picture; sizes are of the upright picture.

    ``frames`` is the number really decoded (0 before reading), ``declared_frames`` what the container claims.
    """

    name: str = ""
    kind: str = "video"  # "video" | "image"
    width: int = 0
    height: int = 0
    fps: float = float("nan")
    duration_s: float = float("nan")
    frames: int = 0
    declared_frames: int | None = None
    codec: str = ""
    container: str = ""
    rotation_deg: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class ModelInfo:
    """Which models made the poses, and on what they really ran."""

    name: str = ""
    detector: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def _array(value: object, name: str, shape: tuple[int, ...]) -> Array:
    array = np.array(value, dtype=np.float64)  # a copy: the caller's array may change, ours may not
    if array.shape != shape:
        raise ValueError(
            f"{name} must have shape {shape} (frames, joints, ...), got {array.shape}. "
            "Pass one row per timestamp and one column per joint of the skeleton; fill what is missing with NaN."
        )
    if np.isinf(array).any():
        raise ValueError(f"{name} holds infinite values; write NaN where nothing was seen.")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """One person through one clip.

    Attributes:
        skeleton: joint names, bones, left/right pairs.
        time_s: (T,) seconds, strictly increasing, from the container's timestamps.
        xy_px: (T, J, 2) pixels in the upright image; NaN where not seen.
        score: (T, J) confidence 0..1; each adapter states how it maps the model's own value to it.
        xyz_m: (T, J, 3) metres, hip-centred, x image right, y up, z towards the camera; NaN unknown; or None.
        image_size: width, height of the upright image in pixels.
        person: stable id within the recording.
        raw_score: (T, J) the model's own confidence, unmapped; or None.
        root_m: (T, 3) where the hip centre is, in metres in the same axes with y = 0 on the floor; or None.
    """

    skeleton: Skeleton
    time_s: Array
    xy_px: Array
    score: Array
    xyz_m: Array | None
    image_size: tuple[int, int]
    person: int = 0
    raw_score: Array | None = None
    root_m: Array | None = None

    def __post_init__(self) -> None:
        time_s = np.asarray(self.time_s, dtype=np.float64)
        if time_s.ndim != 1:
            raise ValueError(f"time_s must have shape (T,), got {time_s.shape}; pass one timestamp in seconds a frame.")
        if not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
            raise ValueError(
                "time_s must be finite and strictly increasing seconds; "
                "sort the frames by time and drop those whose time repeats."
            )
        frames, joints = len(time_s), len(self.skeleton)
        put = object.__setattr__
        put(self, "time_s", _array(time_s, "time_s", (frames,)))
        put(self, "xy_px", _array(self.xy_px, "xy_px", (frames, joints, 2)))
        put(self, "score", _array(self.score, "score", (frames, joints)))
        if self.xyz_m is not None:
            put(self, "xyz_m", _array(self.xyz_m, "xyz_m", (frames, joints, 3)))
        if self.raw_score is not None:
            put(self, "raw_score", _array(self.raw_score, "raw_score", (frames, joints)))
        if self.root_m is not None:
            put(self, "root_m", _array(self.root_m, "root_m", (frames, 3)))
        known = self.score[np.isfinite(self.score)]
        if known.size and (known.min() < 0 or known.max() > 1):
            raise ValueError(
                f"score must lie in 0..1, got {known.min():.3g} to {known.max():.3g}; "
                "map the model's value to 0..1 and keep the original in raw_score."
            )
        width, height = self.image_size
        if width < 0 or height < 0:
            raise ValueError(f"image_size must be (width, height) in pixels, got {self.image_size}.")
        put(self, "image_size", (int(width), int(height)))
        put(self, "person", int(self.person))

    @classmethod
    def empty(
        cls,
        skeleton: Skeleton = BLAZEPOSE_33,
        image_size: tuple[int, int] = (0, 0),
        person: int = 0,
        time_s: Array | None = None,
    ) -> Self:
        """Nobody seen: no frames, or NaN in every frame of ``time_s``."""
        times = np.empty(0) if time_s is None else time_s
        shape = (len(times), len(skeleton))
        nothing = np.full(shape, np.nan)
        return cls(skeleton, times, np.full((*shape, 2), np.nan), nothing, None, image_size, person)

    def __len__(self) -> int:
        return len(self.time_s)

    def __getitem__(self, joint: str) -> Array:
        """(T, 2) pixels of the joint called ``joint``."""
        return self.xy_px[:, self.skeleton.index(joint)]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(T,) True where at least one joint was seen, in the picture or in space."""
        seen = np.isfinite(self.xy_px).all(axis=2).any(axis=1)
        return seen if self.xyz_m is None else seen | np.isfinite(self.xyz_m).all(axis=2).any(axis=1)

    @property
    def frames_seen(self) -> int:
        """In how many frames the person was seen."""
        return int(self.seen.sum())

    def boxes_px(self) -> Array:
        """(T, 4) left, top, right, bottom of the seen joints in pixels; NaN where nothing was seen."""
        boxes = np.full((len(self), 4), np.nan)
        seen = np.isfinite(self.xy_px).all(axis=2).any(axis=1)
        if seen.any():
            boxes[seen, :2] = np.nanmin(self.xy_px[seen], axis=1)
            boxes[seen, 2:] = np.nanmax(self.xy_px[seen], axis=1)
        return boxes

    def select(self, index: slice | NDArray[Any]) -> Self:
        """The frames chosen by a slice, a mask or positions, in time order."""
        return replace(
            self,
            time_s=self.time_s[index],
            xy_px=self.xy_px[index],
            score=self.score[index],
            xyz_m=None if self.xyz_m is None else self.xyz_m[index],
            raw_score=None if self.raw_score is None else self.raw_score[index],
            root_m=None if self.root_m is None else self.root_m[index],
        )

    def between(self, start_s: float, end_s: float) -> Self:
        """The frames with ``start_s <= time < end_s``, times kept as they are."""
        return self.select((self.time_s >= start_s) & (self.time_s < end_s))

    def to(self, skeleton: Skeleton) -> Self:
        """The same person in another skeleton: same names copied, substitutes averaged, the rest NaN.

        The score of an averaged joint is the lowest of its parts.
        """
        if skeleton is self.skeleton:
            return self
        rows = mapping(self.skeleton, skeleton)

        def gather(values: Array | None, reduce: Any) -> Array | None:
            if values is None:
                return None
            missing = np.full((len(self), *values.shape[2:]), np.nan)
            return np.stack([reduce(values[:, list(row)], axis=1) if row else missing for row in rows], axis=1)

        xy_px, score = gather(self.xy_px, np.mean), gather(self.score, np.min)
        assert xy_px is not None and score is not None
        return replace(
            self,
            skeleton=skeleton,
            xy_px=xy_px,
            score=score,
            xyz_m=gather(self.xyz_m, np.mean),
            raw_score=gather(self.raw_score, np.min),
        )

    def mirrored(self) -> Self:
        """The sequence as a mirror shows it: x reversed, left and right joints exchanged."""
        order = list(self.skeleton.mirror_order)
        xy_px = self.xy_px[:, order] * (-1, 1) + (self.image_size[0] - 1, 0)
        return replace(
            self,
            xy_px=xy_px,
            score=self.score[:, order],
            xyz_m=None if self.xyz_m is None else self.xyz_m[:, order] * (-1, 1, 1),
            raw_score=None if self.raw_score is None else self.raw_score[:, order],
            root_m=None if self.root_m is None else self.root_m * (-1, 1, 1),
        )

    def to_frame(self, *, seen_only: bool = True) -> pd.DataFrame:
        """A tidy table, one row a frame and joint, units in the column names (``TIDY_COLUMNS``).

        Args:
            seen_only: leave out the frames in which nothing of the person was seen.
        """
        frames = np.flatnonzero(self.seen) if seen_only else np.arange(len(self))
        joints = len(self.skeleton)
        columns: dict[str, Any] = {
            "person": np.full(len(frames) * joints, self.person, dtype=np.int32),
            "frame": np.repeat(frames.astype(np.int32), joints),
            "time_s": np.repeat(self.time_s[frames], joints),
            "joint": pd.Categorical.from_codes(
                np.tile(np.arange(joints), len(frames)), categories=pd.Index(self.skeleton.joints)
            ),
            "x_px": self.xy_px[frames, :, 0].ravel(),
            "y_px": self.xy_px[frames, :, 1].ravel(),
            "score": self.score[frames].ravel(),
        }
        for name, values, axis in (
            ("raw_score", self.raw_score, None),
            ("x_m", self.xyz_m, 0),
            ("y_m", self.xyz_m, 1),
            ("z_m", self.xyz_m, 2),
        ):
            if values is None:
                columns[name] = np.full(len(frames) * joints, np.nan)
            else:
                columns[name] = (values[frames] if axis is None else values[frames, :, axis]).ravel()
        return pd.DataFrame(columns)

    @classmethod
    def from_frame(
        cls, table: pd.DataFrame, skeleton: Skeleton, time_s: Array, image_size: tuple[int, int], person: int
    ) -> Self:
        """The inverse of ``to_frame``: one person's rows of a tidy table on the clip's ``time_s``."""
        rows = table[table["person"] == person]
        frame = rows["frame"].to_numpy()
        joint = pd.Categorical(rows["joint"].astype(str), categories=pd.Index(skeleton.joints)).codes
        if (joint < 0).any():
            raise ValueError(f"the table holds joints that skeleton {skeleton.name!r} does not have.")

        def grid(*names: str) -> Array | None:
            values = np.full((len(time_s), len(skeleton), len(names)), np.nan)
            values[frame, joint] = rows[list(names)].to_numpy(dtype=np.float64)
            return values

        xy_px, score, raw, xyz = grid("x_px", "y_px"), grid("score"), grid("raw_score"), grid("x_m", "y_m", "z_m")
        assert xy_px is not None and score is not None and raw is not None and xyz is not None
        return cls(
            skeleton,
            time_s,
            xy_px,
            score[..., 0],
            xyz if np.isfinite(xyz).any() else None,
            image_size,
            person,
            raw[..., 0] if np.isfinite(raw).any() else None,
        )


@dataclass(frozen=True, eq=False)
class Recording:
    """Everybody in one clip. All people share ``time_s``: frame i of each is frame i of the clip.

    Attributes:
        people: the people, by id; none is an ordinary value.
        time_s: (T,) seconds of every frame that was read.
        source: the clip.
        model: what made the poses.
    """

    people: tuple[PoseSequence, ...]
    time_s: Array
    source: MediaInfo = field(default_factory=MediaInfo)
    model: ModelInfo = field(default_factory=ModelInfo)

    def __post_init__(self) -> None:
        object.__setattr__(self, "people", tuple(self.people))
        object.__setattr__(self, "time_s", _array(self.time_s, "time_s", (len(self.time_s),)))
        for person in self.people:
            if not np.array_equal(person.time_s, self.time_s):
                raise ValueError(
                    f"person {person.person} has {len(person)} timestamps that are not the clip's {len(self.time_s)}; "
                    "put every person on the clip's timeline and fill the frames without them with NaN."
                )
        ids = [person.person for person in self.people]
        if len(set(ids)) != len(ids):
            raise ValueError(f"every person needs an id of their own, got {ids}.")

    @classmethod
    def empty(cls, source: MediaInfo | None = None, model: ModelInfo | None = None) -> Self:
        """A clip without frames and without people."""
        return cls((), np.empty(0), source or MediaInfo(), model or ModelInfo())

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def skeleton(self) -> Skeleton | None:
        """The skeleton of the people; None when there are none."""
        return self.people[0].skeleton if self.people else None

    def person(self, person: int) -> PoseSequence:
        """The person with this id; raises KeyError that lists the ids there are."""
        for candidate in self.people:
            if candidate.person == person:
                return candidate
        ids = ", ".join(str(p.person) for p in self.people) or "nobody"
        raise KeyError(f"no person {person} in this recording; there is: {ids}")

    def person_at(self, frame: int, x_px: float, y_px: float) -> int | None:
        """The id of the person at a pixel of a frame (the smallest box that holds it); None when nobody is there."""
        best: tuple[float, int] | None = None
        for person in self.people:
            left, top, right, bottom = person.select(slice(frame, frame + 1)).boxes_px()[0]
            margin = 0.1 * (bottom - top)
            if left - margin <= x_px <= right + margin and top - margin <= y_px <= bottom + margin:
                area = float((right - left) * (bottom - top))
                best = min(best or (area, person.person), (area, person.person))
        return None if best is None else best[1]

    def frame_at(self, time_s: float) -> int:
        """The frame shown at ``time_s``: the last one that starts at or before it (0 before the first)."""
        return max(0, int(np.searchsorted(self.time_s, time_s + 1e-9, side="right")) - 1)

    def to_frame(self) -> pd.DataFrame:
        """Everybody's tidy table (``TIDY_COLUMNS``)."""
        if not self.people:
            empty = PoseSequence.empty()
            return empty.to_frame()
        return pd.concat([person.to_frame() for person in self.people], ignore_index=True)

    def header(self) -> dict[str, Any]:
        """Everything except the numbers per frame and joint, as JSON-ready values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "skeleton": self.skeleton.name if self.skeleton else None,
            "joints": list(self.skeleton.joints) if self.skeleton else [],
            "source": asdict(self.source),
            "model": {**asdict(self.model), "parameters": dict(self.model.parameters)},
            "people": [
                {"person": p.person, "frames_seen": p.frames_seen, "image_size": list(p.image_size)}
                for p in self.people
            ],
        }

    def to_json(self) -> bytes:
        """The whole recording as one UTF-8 JSON document; missing values are null."""
        document = self.header() | {"time_s": self.time_s}
        for entry, person in zip(document["people"], self.people, strict=True):
            entry |= {"xy_px": person.xy_px, "score": person.score}
            optional = {"xyz_m": person.xyz_m, "raw_score": person.raw_score, "root_m": person.root_m}
            entry |= {name: values for name, values in optional.items() if values is not None}
        return orjson.dumps(_contiguous(document), option=orjson.OPT_SERIALIZE_NUMPY)

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """The inverse of ``to_json``; raises SchemaError or ValueError in words."""
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise SchemaError(f"the poses file is not JSON ({error}).") from error
        check_schema(document.get("schema_version") if isinstance(document, dict) else None, "The poses file")
        time_s = _floats(document["time_s"])
        skeleton = SKELETONS.get(document["skeleton"] or "")
        if document["people"] and skeleton is None:
            raise SchemaError(f"the poses file uses the unknown skeleton {document['skeleton']!r}.")
        people = tuple(
            PoseSequence(
                skeleton or BLAZEPOSE_33,
                time_s,
                _floats(entry["xy_px"]),
                _floats(entry["score"]),
                _floats(entry["xyz_m"]) if entry.get("xyz_m") is not None else None,
                tuple(entry["image_size"]),
                entry["person"],
                _floats(entry["raw_score"]) if entry.get("raw_score") is not None else None,
                _floats(entry["root_m"]) if entry.get("root_m") is not None else None,
            )
            for entry in document["people"]
        )
        return cls(people, time_s, media_info(document["source"]), ModelInfo(**document["model"]))


def media_info(values: Mapping[str, Any]) -> MediaInfo:
    """A MediaInfo from its JSON form, in which NaN is null."""
    numbers = {name: float("nan") for name in ("fps", "duration_s") if values.get(name) is None}
    return MediaInfo(**{**values, **numbers})


def _floats(values: Any) -> Array:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _contiguous(value: Any) -> Any:
    """orjson writes only C-contiguous arrays."""
    if isinstance(value, dict):
        return {str(key): _contiguous(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_contiguous(item) for item in value]
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value
