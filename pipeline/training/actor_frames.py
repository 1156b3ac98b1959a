"""Rendered people with exact key points: the pictures that key-point models of ours learn from.

Every clip follows from its seed alone: motion, build, clothes, room, camera, disturbances, sometimes a second person.
Pictures are kept as JPEG in compact files, so that they are drawn once and training can be resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.base import Image, Region
from pipeline.estimation.onnx_models import next_region
from pipeline.poses import Array
from pipeline.skeletons import COCO_17
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth, default_camera
from pipeline.synthetic.body import Build
from pipeline.synthetic.motions import MOTIONS, Actor

SIZES = ((480, 480), (360, 480), (480, 360), (400, 480))
SECOND_PERSON = 0.25  # share of the clips
DISTURBED = 0.15  # share of the clips for each disturbance
STRONGEST = 0.6
USUAL_FPS = 30.0
CLIPS_A_FILE = 50
JPEG_QUALITY = 92
FEWEST_POINTS = 6  # a person with fewer points in the picture is no example


@dataclass(frozen=True, eq=False)
class ActorFrames:
    """Examples, one a person and picture.

    Attributes:
        jpeg: the pictures, encoded.
        picture: (N,) position in ``jpeg``.
        box_px: (N, 4) as a detector would draw it.
        xy_px: (N, 17, 2) true COCO key points.
        visible: (N, 17) False outside the picture and behind an occluder.
        clip: (N,) seed of the clip.
        motion: (N,) what the person does.
    """

    jpeg: tuple[bytes, ...]
    picture: NDArray[np.int64]
    box_px: Array
    xy_px: Array
    visible: NDArray[np.bool_]
    clip: NDArray[np.int64]
    motion: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.picture)

    def image(self, example: int) -> Image:
        """The picture (H, W, 3) RGB of an example."""
        encoded = np.frombuffer(self.jpeg[self.picture[example]], dtype=np.uint8)
        return np.asarray(cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def region(self, example: int) -> Region:
        """Where the example's person is."""
        return Region.from_box(self.box_px[example])

    def neighbours_px(self, example: int) -> Array:
        """(P, 4) boxes of everybody in the example's picture."""
        return self.box_px[self.picture == self.picture[example]]


def random_spec(seed: int, motions: Sequence[str], frames: int) -> ActorSpec:
    """A clip of about ``frames`` frames, spread over the whole motion, all decided by ``seed``."""
    rng = np.random.default_rng([seed, 77])
    people = 2 if rng.random() < SECOND_PERSON else 1
    aside = rng.uniform(0.45, 0.9) * rng.choice([-1.0, 1.0])
    actors = tuple(_random_actor(rng, motions, seed + 7919 * k, aside * (k - (people - 1) / 2)) for k in range(people))
    size = SIZES[rng.integers(len(SIZES))]
    camera = default_camera(actors, "front", size)
    camera = replace(
        camera,
        yaw_deg=float(rng.uniform(-180, 180)),
        height_m=camera.height_m * float(rng.uniform(0.75, 1.3)),
        distance_m=camera.distance_m * float(rng.uniform(0.85, 1.5)),
        pitch_deg=camera.pitch_deg + float(rng.uniform(-2, 4)),
    )
    length_s = max(actor.duration_s for actor in actors)
    fps = float(np.clip(frames / length_s, 1, USUAL_FPS))
    names = ("dark", "blur", "noise", "low_resolution", "occluder", "shake")
    disturbances = {name: float(rng.uniform(0.1, STRONGEST)) for name in names if rng.random() < DISTURBED}
    if rng.random() < DISTURBED / 2:
        disturbances["motion_blur"] = float(rng.uniform(0.2, 1.0)) * fps / USUAL_FPS  # as exposed at the usual rate
    return ActorSpec(actors, camera=camera, fps=fps, disturbances=disturbances, seed=seed)


def _random_actor(rng: np.random.Generator, motions: Sequence[str], seed: int, aside_m: float) -> Actor:
    motion = str(rng.choice(motions))
    possible = MOTIONS[motion].faults
    faults = {name: float(rng.uniform(0.2, 1)) for name in possible if rng.random() < 0.2}
    return Actor(
        motion,
        repetitions=2,
        depth=float(rng.uniform(0.6, 1.1)),
        faults=faults,
        build=Build(float(rng.uniform(1.5, 1.95)), float(rng.uniform(0.85, 1.3)), float(rng.uniform(0.95, 1.05))),
        place_m=(aside_m, float(rng.uniform(-0.3, 0.3))),
        facing_deg=float(rng.uniform(-25, 25)),
        variation=float(rng.uniform(0.5, 2)),
        seed=seed,
    )


def actor_frames(
    folder: Path,
    seeds: Sequence[int],
    motions: Sequence[str],
    frames: int,
    progress: Callable[[float], None] | None = None,
) -> ActorFrames:
    """The examples of the clips with these seeds, drawn where ``folder`` does not hold them yet.

    Args:
        folder: for the files with pictures; each belongs to one choice of clips.
        seeds: of the clips.
        motions: to choose from.
        frames: about so many a clip.
        progress: told the share done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [seeds[start : start + CLIPS_A_FILE] for start in range(0, len(seeds), CLIPS_A_FILE)]
    tables = []
    for number, part in enumerate(parts):
        path = folder / f"clips-{part[0]:07d}-{len(part)}x{frames}.npz"
        if not path.exists():
            _draw(path, part, motions, frames)
        with np.load(path) as table:
            tables.append(dict(table))
        if progress is not None:
            progress((number + 1) / len(parts))
    return _joined(tables)


def _draw(path: Path, seeds: Sequence[int], motions: Sequence[str], frames: int) -> None:
    jpeg: list[bytes] = []
    rows: list[tuple[int, Array, Array, NDArray[np.bool_], int, str]] = []
    for seed in seeds:
        for picture, people in _clip(random_spec(seed, motions, frames)):
            if people:
                rows += [(len(jpeg), *person[:3], seed, person[3]) for person in people]
                encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
                jpeg.append(encoded.tobytes())
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        blob=np.frombuffer(b"".join(jpeg), dtype=np.uint8),
        ends=np.cumsum([len(encoded) for encoded in jpeg], dtype=np.int64),
        picture=np.array(columns[0], dtype=np.int64),
        box_px=np.array(columns[1], dtype=np.float64).reshape(-1, 4),
        xy_px=np.array(columns[2], dtype=np.float64).reshape(-1, len(COCO_17), 2),
        visible=np.array(columns[3], dtype=bool).reshape(-1, len(COCO_17)),
        clip=np.array(columns[4], dtype=np.int64),
        motion=np.array(columns[5], dtype="U24"),
    )
    part.replace(path)


def _clip(spec: ActorSpec) -> Iterator[tuple[Image, list[tuple[Array, Array, NDArray[np.bool_], str]]]]:
    """Each picture with everybody's box, key points, which of them can be seen, and motion."""
    truth = clip_truth(spec)
    coco = [person.to(COCO_17) for person in truth.recording.people]
    width, height = spec.viewpoint.size
    edges = np.array([width, height, width, height], dtype=np.float64)
    for frame, (picture, _) in enumerate(clip_frames(spec)):
        people = []
        for person, told in zip(coco, truth.people, strict=True):
            xy_px, visible = person.xy_px[frame], person.score[frame] > 0
            if visible.sum() >= FEWEST_POINTS:
                box_px = np.clip(
                    next_region(xy_px, visible.astype(np.float64), Region((0, 0), (1, 1))).box_px, 0, edges
                )
                people.append((box_px, xy_px, visible, told.motion))
        yield picture, people


def _joined(tables: Sequence[dict[str, NDArray]]) -> ActorFrames:
    jpeg: list[bytes] = []
    columns: dict[str, list[NDArray]] = {
        name: [] for name in ("picture", "box_px", "xy_px", "visible", "clip", "motion")
    }
    for table in tables:
        for name, column in columns.items():
            column.append(table[name] + len(jpeg) if name == "picture" else table[name])
        blob, ends = table["blob"].tobytes(), table["ends"]
        jpeg += [blob[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    joined = {name: np.concatenate(column) for name, column in columns.items()}
    return ActorFrames(tuple(jpeg), **joined)
