"""The rendered actor: from a short description to a clip with exact ground truth.

``render_clip(spec, "clip.mp4")`` writes the film and, beside it, ``clip.truth.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson

from pipeline.media import VideoWriter, probe
from pipeline.poses import SCHEMA_VERSION, Array, MediaInfo, ModelInfo, PoseSequence, Recording, check_schema
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.angles import body_angles_deg
from pipeline.synthetic.body import Build
from pipeline.synthetic.camera import VIEWS, Camera
from pipeline.synthetic.disturbances import EXPOSURES, Spoiler, checked, frame_times
from pipeline.synthetic.motions import MOTIONS, Actor, Truth, act, pose_sequence
from pipeline.synthetic.props import objects_of
from pipeline.synthetic.render import Scene, draw, looks, scene
from pipeline.synthetic.stage import Picture
from pipeline.synthetic.timeline import FallTimes, MotionError, Repetition, Tempo

PIXEL_NOISE = 2.0


@dataclass(frozen=True)
class ActorSpec:
    """Everything that decides a clip; the same description always gives the same frames.

    Attributes:
        actors: the people, each with motion, faults, build and place.
        view: a name in ``VIEWS``; ignored when ``camera`` is given.
        camera: None chooses one that keeps the motion in the picture.
        size: width and height in pixels, when ``camera`` is None.
        fps: frames a second of the film; duration_s: None until everybody is done.
        disturbances: {name in ``DISTURBANCES``: strength 0..1}.
        seed: of room, light, noise and disturbances.
    """

    actors: tuple[Actor, ...] = (Actor(),)
    view: str = "front"
    camera: Camera | None = None
    size: tuple[int, int] = (640, 480)
    fps: float = 30.0
    duration_s: float | None = None
    disturbances: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise MotionError(f"there is no view {self.view!r}; choose one of: {', '.join(VIEWS)}.")
        if not 1 <= self.fps <= 240:
            raise MotionError(f"fps must lie between 1 and 240, got {self.fps}.")
        if self.duration_s is not None and self.duration_s < 0:
            raise MotionError(f"duration_s must not be negative, got {self.duration_s}.")
        checked(self.disturbances)

    @classmethod
    def one(cls, motion: str = "squat", *, seed: int = 0, **settings: Any) -> Self:
        """One person: ``settings`` are fields of ``Actor`` and of this class, e.g. ``repetitions=5, view="side"``.

        Raises:
            MotionError: a setting that neither has, or a value that makes no sense.
        """
        own = {item.name for item in fields(cls)} - {"actors", "seed"}
        personal = {item.name for item in fields(Actor)} - {"motion", "seed"}
        unknown = set(settings) - own - personal
        if unknown:
            raise MotionError(f"unknown settings: {', '.join(sorted(unknown))}; "
                              f"there are: {', '.join(sorted(own | personal))}.")  # fmt: skip
        actor = Actor(motion, seed=seed, **{name: value for name, value in settings.items() if name in personal})
        return cls((actor,), seed=seed, **{name: value for name, value in settings.items() if name in own})

    @property
    def length_s(self) -> float:
        """Seconds of film."""
        if self.duration_s is not None:
            return self.duration_s
        return max((actor.duration_s for actor in self.actors), default=1.0)

    @property
    def viewpoint(self) -> Camera:
        """The camera that is used."""
        return self.camera or default_camera(self.actors, self.view, self.size)


def default_camera(actors: tuple[Actor, ...], view: str, size: tuple[int, int]) -> Camera:
    """A camera on a tripod that keeps these motions in the picture."""
    motions = {actor.motion for actor in actors}
    height_m, distance_m, pitch_deg = 1.05, 3.5, 1.0
    if "pull_up" in motions:
        height_m, distance_m, pitch_deg = 1.35, 4.1, 0.5
    elif motions & {"walk", "lunge"}:
        distance_m = 4.3
    elif "jumping_jack" in motions or "overhead_press" in motions:
        height_m, distance_m, pitch_deg = 1.10, 3.8, 0.0
    elif motions and all(MOTIONS[motion].on_floor for motion in motions):
        upright = any(motion.startswith("fall") or motion == "lie_down" for motion in motions)
        height_m, distance_m, pitch_deg = (1.25, 4.0, 6.0) if upright else (1.15, 3.3, 12.0)
    spread = max((abs(value) for actor in actors for value in actor.place_m), default=0.0)
    width, height = size
    narrow = max(1.0, 0.62 * height / width)  # tall pictures see less to the sides
    return Camera(VIEWS[view], height_m, (distance_m + 0.8 * spread) * narrow, pitch_deg, 35.0, size)


@dataclass(frozen=True, eq=False)
class PersonTruth:
    """What one person in the clip really did, in seconds of the clip.

    Attributes:
        person: id in the recording; motion; repetitions; fall: times, or None.
        angles_deg: {name: (T,) degrees} from the 3D joints, see ``body_angles_deg``.
        in_view: (T,) share of the joints that are inside the picture.
    """

    person: int
    motion: str
    repetitions: tuple[Repetition, ...]
    fall: FallTimes | None
    angles_deg: dict[str, Array]
    in_view: Array


@dataclass(frozen=True, eq=False)
class ClipTruth:
    """Exact ground truth of a clip: true poses as a ``Recording``, and what everybody did."""

    spec: ActorSpec
    recording: Recording
    people: tuple[PersonTruth, ...]

    def to_json(self) -> bytes:
        """One UTF-8 JSON document; NaN is null."""
        people = [
            {
                "person": person.person,
                "motion": person.motion,
                "repetitions": [asdict(repetition) for repetition in person.repetitions],
                "fall": asdict(person.fall) if person.fall else None,
                "angles_deg": person.angles_deg,
                "in_view": person.in_view,
            }
            for person in self.people
        ]
        document = {
            "schema_version": SCHEMA_VERSION,
            "spec": asdict(self.spec),
            "people": people,
            "recording": orjson.Fragment(self.recording.to_json()),
        }
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def read_truth(path: Path) -> ClipTruth:
    """The ground truth that ``render_clip`` wrote.

    Raises:
        SchemaError: the file is from a newer version or something else.
    """
    document = orjson.loads(Path(path).read_bytes())
    check_schema(document.get("schema_version"), Path(path).name)
    people = tuple(
        PersonTruth(
            entry["person"],
            entry["motion"],
            tuple(Repetition(**values) for values in entry["repetitions"]),
            FallTimes(**entry["fall"]) if entry["fall"] else None,
            {name: np.array(values, dtype=np.float64) for name, values in entry["angles_deg"].items()},
            np.array(entry["in_view"], dtype=np.float64),
        )
        for entry in document["people"]
    )
    return ClipTruth(spec_from_json(document["spec"]), Recording.from_json(orjson.dumps(document["recording"])), people)


def spec_from_json(values: Mapping[str, Any]) -> ActorSpec:
    """The inverse of ``dataclasses.asdict`` of a specification."""
    actors = tuple(
        Actor(**{
            **actor,
            "tempo": Tempo(**actor["tempo"]) if actor["tempo"] else None,
            "build": Build(**actor["build"]),
            "place_m": tuple(actor["place_m"]),
        })
        for actor in values["actors"]
    )  # fmt: skip
    camera = values["camera"]
    seen_by = Camera(**{**camera, "size": tuple(camera["size"])}) if camera else None
    return ActorSpec(**{**values, "actors": actors, "camera": seen_by, "size": tuple(values["size"])})


def truth_path(clip: Path) -> Path:
    """Where the ground truth of a clip lies."""
    return clip.with_suffix(".truth.json")


def clip_truth(spec: ActorSpec) -> ClipTruth:
    """The ground truth of a clip without drawing it."""
    time_s = frame_times(spec.length_s, spec.fps, spec.disturbances.get("low_fps", 0.0))
    return _truth(spec, [act(actor, time_s) for actor in spec.actors], time_s)


def _truth(spec: ActorSpec, performed: list[Truth], time_s: Array) -> ClipTruth:
    camera = spec.viewpoint
    spoiler = Spoiler(time_s, camera.size, spec.disturbances, spec.seed)
    matrices, covered = spoiler.matrices(), spoiler.occluder_box()
    sequences, people = [], []
    for number, truth in enumerate(performed):
        sequence = _seen_by(camera, truth, number, matrices, covered)
        sequences.append(sequence)
        people.append(
            PersonTruth(
                number, truth.actor.motion, truth.repetitions, truth.fall,
                body_angles_deg(truth.joints_m, BLAZEPOSE_33), (sequence.score > 0).mean(axis=1),
            )
        )  # fmt: skip
    width, height = camera.size
    source = MediaInfo("", "video", width, height, spec.fps, spec.length_s, len(time_s))
    model = ModelInfo("ground truth", parameters={"view": spec.view})
    return ClipTruth(spec, Recording(tuple(sequences), time_s, source, model), tuple(people))


def _seen_by(camera: Camera, truth: Truth, person: int, matrices: Array, covered: Any) -> PoseSequence:
    """The true joints in the camera's axes and in the picture; score 0 outside the picture or behind the occluder."""
    world = pose_sequence(truth, person)
    assert world.xyz_m is not None and world.root_m is not None
    pixels, _ = camera.project(truth.joints_m)
    width, height = camera.size
    score = _inside(pixels, 0, 0, width - 1, height - 1)
    if covered is not None:
        score &= ~_inside(pixels, *covered)
    moved = np.einsum("tij,tkj->tki", matrices[..., :2], pixels) + matrices[:, None, :, 2]
    score &= _inside(moved, 0, 0, width - 1, height - 1)
    return replace(
        world,
        xy_px=moved,
        score=score.astype(np.float64),
        xyz_m=world.xyz_m @ camera.level_axes.T,
        root_m=world.root_m @ camera.level_axes.T,
        image_size=camera.size,
    )


def _inside(pixels: Array, left: float, top: float, right: float, bottom: float) -> Any:
    x, y = pixels[..., 0], pixels[..., 1]
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


def clip_frames(spec: ActorSpec) -> Iterator[tuple[Picture, float]]:
    """The pictures (H, W, 3) RGB of a clip and their times, one after the other; nothing is written."""
    camera, smear = spec.viewpoint, spec.disturbances.get("motion_blur", 0.0)
    time_s = frame_times(spec.length_s, spec.fps, spec.disturbances.get("low_fps", 0.0))
    spoiler = Spoiler(time_s, camera.size, spec.disturbances, spec.seed)
    exposures = EXPOSURES if smear > 0 else 1
    spread = ((np.arange(exposures) + 0.5) / exposures - 0.5) * smear / spec.fps
    room = _room(spec, (time_s[:, None] + spread).ravel(), camera)
    for number, matrix in enumerate(spoiler.matrices()):
        pictures = [draw(room, number * exposures + part) for part in range(exposures)]
        picture = pictures[0] if exposures == 1 else np.mean(pictures, axis=0).round().astype(np.uint8)
        yield spoiler.spoil(picture, number, matrix), float(time_s[number])


def _room(spec: ActorSpec, time_s: Array, camera: Camera) -> Scene:
    performed = [act(actor, time_s) for actor in spec.actors]
    return scene(
        [pose_sequence(truth, number) for number, truth in enumerate(performed)],
        camera,
        spec.seed,
        [looks(actor.seed + 101 * number, actor.build.girth) for number, actor in enumerate(spec.actors)],
        objects_of(performed),
        PIXEL_NOISE,
    )


def render_clip(spec: ActorSpec, out: Path, progress: Callable[[float], None] | None = None) -> ClipTruth:
    """Write the clip as H.264 to ``out`` and its ground truth to ``truth_path(out)``.

    Args:
        spec: what to show; out: a path that ends in .mp4, in an existing folder; progress: told the share done.

    Returns:
        The ground truth, the same as in the file.

    Raises:
        MediaError: the file cannot be written.
    """
    out = Path(out)
    truth = clip_truth(spec)
    count = max(len(truth.recording), 1)
    with VideoWriter(out, spec.viewpoint.size, fps_hint=spec.fps, crf=18) as writer:
        for number, (picture, time_s) in enumerate(clip_frames(spec)):
            writer.write(picture, time_s)
            if progress is not None:
                progress((number + 1) / count)
    source = replace(probe(out), frames=len(truth.recording))
    truth = replace(truth, recording=replace(truth.recording, source=source))
    truth_path(out).write_bytes(truth.to_json())
    return truth
