"""What was recorded becomes a run, whether the recording was stopped, its tab closed or its program killed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import orjson
from filelock import FileLock, Timeout

from pipeline.estimation.base import Estimator, Image, PersonPose, Region
from pipeline.inference import InferenceOptions, Progress, infer
from pipeline.live.recorder import ABOUT, LOCK, POSES, PREFIX, VIDEO, RecordingError, RecordingInfo
from pipeline.media import CLOCK_HZ
from pipeline.poses import Array, ModelInfo, PoseSequence, Recording, check_schema
from pipeline.runs import Run, RunStore
from pipeline.skeletons import BLAZEPOSE_33, SKELETONS, Skeleton

SAME_FRAME_S = 0.002  # poses and frames carry the same time up to rounding
LONGEST_BRIDGE_S = 0.2  # between two poses; frames that the live analysis left out lie closer
LIVE_TAG = "webcam"


@dataclass(frozen=True)
class StoredRecording:
    """A recording on disk that nobody is writing."""

    folder: Path

    @property
    def info(self) -> RecordingInfo:
        """What it is. Raises RecordingError when that cannot be read."""
        try:
            values = orjson.loads((self.folder / ABOUT).read_bytes())
            check_schema(values.get("schema_version"), f"The recording {self.folder.name}")
            model = ModelInfo(**values.pop("model"))
            return RecordingInfo(**values | {"model": model, "size": tuple(values["size"])})
        except (OSError, orjson.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise RecordingError(
                f"The recording {self.folder.name} is damaged at its start ({error}); delete it."
            ) from error

    def times_s(self) -> Array:
        """(T,) seconds of every frame that reached the disk; empty when none did."""
        times: list[float] = []
        with contextlib.suppress(av.error.FFmpegError, OSError), av.open(f"file:{self.folder / VIDEO}") as container:
            if container.streams.video:
                for packet in container.demux(container.streams.video[0]):
                    if packet.pts is not None and packet.time_base is not None and packet.size:
                        times.append(float(packet.pts * packet.time_base))
        return np.array(sorted(times))

    def delete(self) -> None:
        """Remove it for good."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_run(
        self,
        store: RunStore,
        progress: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Run:
        """A run with the recorded frames, their live poses and an overlay; the recording's own folder goes then.

        Frames that the live analysis left out to keep up carry the pose between their neighbours (up to
        ``LONGEST_BRIDGE_S`` apart); the manifest says how many.

        Raises:
            RecordingError: no frame reached the disk (the folder goes, too), or somebody else is at it.
            MediaError, RunError: in words; the recording stays for another attempt.
        """
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RecordingError("This recording is still being written, or a run is being made of it.") from error
        try:
            info = self.info
            whole = self.folder / "whole.mp4"
            frames = remux(self.folder / VIDEO, whole)
            if frames == 0:
                self.delete()
                raise RecordingError("The recording holds no frame: it was stopped before the first one came.")
            poses = RecordedPoses.read(self.folder / POSES, info)
            options = InferenceOptions(model=info.model.name, detector=info.model.detector, max_people=50,
                                       subject=info.subject, tags=(LIVE_TAG,))  # fmt: skip
            run = infer(whole, store, options, name=info.name, estimator=poses, progress=progress, cancelled=cancelled)
            recorded = {"created_utc": info.created_utc, "frames_bridged": poses.bridged} | info.settings | info.found
            run = run.update(parameters=run.manifest.parameters | {"live": recorded})
        finally:
            lock.release()
        self.delete()
        return run


def leftovers(store: RunStore) -> list[StoredRecording]:
    """Recordings that nobody writes any more, newest first: their program was killed before a run was made."""
    found = []
    for folder in sorted(store.folder.glob(f"{PREFIX}*"), reverse=True):
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue
        lock.release()
        found.append(StoredRecording(folder))
    return found


def remux(source: Path, target: Path) -> int:
    """The packets of a fragmented file, cut off or not, in one that plays everywhere; how many there are.

    The first frame is moved to 0 s; nothing is encoded again.
    """
    count, origin = 0, None
    with (
        contextlib.suppress(av.error.InvalidDataError, av.error.EOFError, av.error.FileNotFoundError, IndexError),
        av.open(f"file:{source}") as reader,
        av.open(f"file:{target}", "w", format="mp4", options={"movflags": "+faststart"}) as writer,
    ):
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        copy.time_base = Fraction(1, CLOCK_HZ)
        with contextlib.suppress(av.error.InvalidDataError, av.error.EOFError):  # the last fragment may be half there
            for packet in stream_packets(reader, stream):
                origin = packet.pts if origin is None else origin
                packet.pts, packet.dts = packet.pts - origin, packet.pts - origin
                packet.stream = copy
                writer.mux(packet)
                count += 1
    return count


def stream_packets(reader: Any, stream: Any) -> Any:
    """The packets that hold a frame."""
    return (p for p in reader.demux(stream) if p.pts is not None and p.size and not p.is_corrupt)


class RecordedPoses(Estimator):
    """Says again what was seen live; frames without poses of their own get the one between their neighbours."""

    name = "recorded"

    def __init__(self, skeleton: Skeleton, info: ModelInfo, time_s: Array, poses: list[tuple[PersonPose, ...]]) -> None:
        self.skeleton, self._info = skeleton, info
        self._time_s, self._poses = time_s, poses
        self.bridged = 0

    @classmethod
    def read(cls, path: Path, info: RecordingInfo) -> RecordedPoses:
        """From the recording's lines; one that is cut off ends them."""
        times: list[float] = []
        poses: list[tuple[PersonPose, ...]] = []
        lines = path.read_bytes().splitlines() if path.is_file() else []
        for line in lines:
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                break
            if not times or row["time_s"] > times[-1]:
                times.append(row["time_s"])
                poses.append(tuple(_pose(person) for person in row["people"]))
        skeleton = SKELETONS.get(info.skeleton)
        if skeleton is None:
            raise RecordingError(f"The recording uses the unknown skeleton {info.skeleton!r}; delete it.")
        return cls(skeleton, info.model, np.array(times), poses)

    @classmethod
    def of(cls, recording: Recording, start_s: float) -> RecordedPoses:
        """From a run's poses; ``start_s`` becomes 0."""
        poses = [
            tuple(_pose_at(person, frame) for person in recording.people if person.seen[frame])
            for frame in range(len(recording))
        ]
        return cls(recording.skeleton or BLAZEPOSE_33, recording.model, recording.time_s - start_s, poses)

    @property
    def info(self) -> ModelInfo:
        """The model that made the poses."""
        return self._info

    def reset(self) -> None:
        """Start again."""
        self.bridged = 0

    def update(self, image: Image, time_s: float) -> tuple[PersonPose, ...]:  # noqa: ARG002 -- the poses are known
        """The poses of the frame at ``time_s``."""
        after = int(np.searchsorted(self._time_s, time_s - SAME_FRAME_S))
        if after < len(self._time_s) and self._time_s[after] <= time_s + SAME_FRAME_S:
            return self._poses[after]
        if 0 < after < len(self._time_s) and self._time_s[after] - self._time_s[after - 1] <= LONGEST_BRIDGE_S:
            before_s, after_s = self._time_s[after - 1], self._time_s[after]
            between = _between(self._poses[after - 1], self._poses[after], (time_s - before_s) / (after_s - before_s))
            self.bridged += bool(between)
            return between
        return ()


def _between(before: tuple[PersonPose, ...], after: tuple[PersonPose, ...], share: float) -> tuple[PersonPose, ...]:
    """Who is in both, on the straight line from one pose to the other; no surer than the less sure of the two."""
    later = {pose.person: pose for pose in after}
    bridged = []
    for first in before:
        second = later.get(first.person)
        if second is None:
            continue
        space = None
        if first.xyz_m is not None and second.xyz_m is not None:
            space = (1 - share) * first.xyz_m + share * second.xyz_m
        bridged.append(
            PersonPose(
                (1 - share) * first.xy_px + share * second.xy_px,
                np.minimum(first.score, second.score),
                1.0,
                _NOWHERE,
                space,
                None if first.raw_score is None or second.raw_score is None
                else np.minimum(first.raw_score, second.raw_score),
                first.person,
            )
        )  # fmt: skip
    return tuple(bridged)


_NOWHERE = Region((0.0, 0.0), (0.0, 0.0))


def _pose_at(person: PoseSequence, frame: int) -> PersonPose:
    return PersonPose(
        person.xy_px[frame], person.score[frame], 1.0, _NOWHERE,
        None if person.xyz_m is None else person.xyz_m[frame],
        None if person.raw_score is None else person.raw_score[frame],
        person.person,
    )  # fmt: skip


def _pose(row: dict[str, Any]) -> PersonPose:
    def numbers(name: str) -> Array | None:
        return np.array(row[name], dtype=np.float64) if row.get(name) is not None else None

    xy_px, score = numbers("xy_px"), numbers("score")
    assert xy_px is not None and score is not None
    return PersonPose(xy_px, score, 1.0, _NOWHERE, numbers("xyz_m"), numbers("raw_score"), int(row["person"]))
