"""Falls and life acted by the rendered actor, seen by random cameras: poses without pictures.

A scene is a chain of motions (walk, fall, lie, get up ...), a little blended where they meet. Its 3D joints are
projected through a camera and spoiled the way pose models spoil them: noise, lost joints, exchanged sides, a cut-off
picture, any frame rate. Onset and impact of every fall are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.poses import Array, PoseSequence
from pipeline.skeletons import BLAZEPOSE_33, Skeleton
from pipeline.synthetic.body import Build
from pipeline.synthetic.camera import Camera
from pipeline.synthetic.motions import MOTIONS, Actor, act
from pipeline.synthetic.timeline import FallTimes, Tempo

FPS = 30.0
_HIPS = [BLAZEPOSE_33.index("left_hip"), BLAZEPOSE_33.index("right_hip")]


@dataclass(frozen=True, eq=False)
class Part:
    """(T, 33, 3) joints in metres at ``FPS``, floor at y = 0, and the fall in them, in seconds."""

    joints_m: Array
    fall: FallTimes | None = None

    @property
    def length_s(self) -> float:
        return len(self.joints_m) / FPS


@dataclass(frozen=True, eq=False)
class Example:
    """A person to learn from: the poses, the falls in them, and the group that splits keep together.

    source: the data set; weight: of its windows in training.
    """

    sequence: PoseSequence
    falls: tuple[FallTimes, ...]
    group: str
    source: str
    weight: float = 1.0


@dataclass
class _Director:
    """Draws parts at random for one person."""

    rng: np.random.Generator
    build: Build
    seed: int

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def part(self, motion: str, *, speed: float = 1.0, start_s: float = 0.0, end_s: float | None = None,
             **settings: object) -> Part:  # fmt: skip
        """A motion of the actor, ``speed`` times as fast; ``start_s`` and ``end_s`` cut it in the motion's own time."""
        actor = Actor(motion, build=self.build, seed=self.seed, **{"lead_in_s": 0.0, "lead_out_s": 0.2, **settings})  # type: ignore[arg-type]
        end_s = actor.duration_s if end_s is None else end_s
        time_s = np.arange(start_s, end_s, speed / FPS)
        truth = act(actor, time_s)
        fall = truth.fall
        if fall is not None:
            fall = FallTimes((fall.onset_s - start_s) / speed, (fall.impact_s - start_s) / speed)
        return Part(truth.joints_m, fall)

    def hold(self, before: Part, seconds: float) -> Part:
        """Staying as the last part ended, breathing."""
        frames = max(1, round(seconds * FPS))
        sway = 0.004 * np.sin(np.arange(frames) / FPS * 2 * np.pi * 0.25)
        joints = np.repeat(before.joints_m[-1:], frames, axis=0)
        return Part(joints + sway[:, None, None] * np.array([0.4, 1.0, 0.3]))

    def stand(self, low: float = 0.8, high: float = 3.0) -> Part:
        return self.part("stand", end_s=self.between(low, high))

    def prelude(self) -> list[Part]:
        """What comes before: standing, walking, or nothing but a moment."""
        kind = self.rng.integers(3)
        if kind == 0:
            return [self.stand()]
        if kind == 1:
            return [self.stand(0.3, 1.0), self.walk()]
        return [self.walk()]

    def walk(self) -> Part:
        steps = int(self.rng.integers(2, 8))
        return self.part("walk", repetitions=steps, speed=self.between(0.8, 1.5), end_s=0.56 * (steps + 1))

    def down_and_up(self, motion: str, quick: float = 1.0) -> Part:
        base = MOTIONS[motion].tempo
        factor = self.between(0.6, 1.3) / quick
        tempo = Tempo(base.down_s * factor, base.pause_s * self.between(0.2, 1.5), base.up_s * factor, base.rest_s)
        faults = MOTIONS[motion].faults
        chosen = {str(self.rng.choice(faults)): self.between(0, 1)} if faults and self.rng.random() < 0.5 else {}
        return self.part(motion, repetitions=int(self.rng.integers(1, 5)), tempo=tempo, faults=chosen)

    def fall(self) -> Part:
        motion = str(self.rng.choice(["fall_forward", "fall_backward", "fall_sideways"]))
        return self.part(motion, speed=self.between(0.65, 1.35))

    def get_up(self) -> Part:
        down = self.part("lie_down", speed=self.between(0.9, 1.8))
        return Part(down.joints_m[::-1])

    def still(self, before: Part) -> Part:
        return self.hold(before, self.between(0.5, 6.0))


Scene = Callable[[_Director], list[Part]]


def _falls(d: _Director) -> list[Part]:
    fall = d.fall()
    parts = [*d.prelude(), fall, d.still(fall)]
    if d.rng.random() < 0.35:
        parts += [d.get_up(), d.stand()]
    return parts


def _falls_from_chair(d: _Director) -> list[Part]:
    sit = d.part("sit_down", repetitions=1, end_s=1.5)
    held = d.hold(sit, d.between(0.8, 3.0))
    motion = str(d.rng.choice(["fall_forward", "fall_sideways", "fall_backward"]))
    speed = d.between(0.6, 1.2)
    fall = d.part(motion, speed=speed, start_s=0.55)
    fall = Part(fall.joints_m, FallTimes(-0.35, 0.40 / speed))
    parts = [sit, held] if d.rng.random() < 0.5 else [held]
    return [*parts, fall, d.still(fall)]


def _collapses(d: _Director) -> list[Part]:
    speed = d.between(1.0, 2.0)
    sink = d.part("squat", repetitions=1, tempo=Tempo(0.9, 0.1, 1.0, 0.1), end_s=0.7, speed=speed)
    fall = d.part(str(d.rng.choice(["fall_sideways", "fall_backward"])), start_s=0.6, speed=d.between(0.7, 1.2))
    assert fall.fall is not None
    fall = Part(fall.joints_m, FallTimes(-sink.length_s - 0.1, fall.fall.impact_s))
    return [*d.prelude(), sink, fall, d.still(fall)]


def _sits(d: _Director) -> list[Part]:
    return [*d.prelude(), d.down_and_up("sit_down", quick=d.between(1.0, 2.2)), d.stand(0.3, 1.0)]


def _sits_fast_and_stays(d: _Director) -> list[Part]:
    sit = d.part("sit_down", repetitions=1, end_s=1.5, speed=d.between(1.2, 3.0))
    return [*d.prelude(), sit, d.hold(sit, d.between(1.5, 5.0))]


def _lies_down(d: _Director) -> list[Part]:
    down = d.part("lie_down", speed=d.between(0.7, 2.2))
    return [*d.prelude(), down, d.still(down), d.get_up(), d.stand()]


def _lies_on_a_bed(d: _Director) -> list[Part]:
    sit = d.part("sit_down", repetitions=1, end_s=1.5, speed=d.between(1.0, 2.2))
    flat = d.part("lie_down", start_s=5.5, end_s=5.8)
    bed = Part(flat.joints_m + [0, 0.45, 0])
    middle = d.hold(sit, d.between(0.2, 2.0))
    return [*d.prelude(), sit, middle, _blend(middle, bed, d.between(0.9, 2.0)), d.hold(bed, d.between(2.0, 5.0))]


def _lies_from_the_start(d: _Director) -> list[Part]:
    flat = d.part("lie_down" if d.rng.random() < 0.5 else str(d.rng.choice(["fall_forward", "fall_sideways"])),
                  start_s=2.8)  # fmt: skip
    last = Part(flat.joints_m[-1:])
    parts = [d.hold(last, d.between(3, 8))]
    return parts if d.rng.random() < 0.6 else [*parts, d.get_up(), d.stand()]


def _bends(d: _Director) -> list[Part]:
    motion = str(d.rng.choice(["pick_up", "tie_shoes"]))
    return [*d.prelude(), d.down_and_up(motion, quick=d.between(0.8, 2.0)), d.stand(0.3, 1.0)]


def _exercises(d: _Director) -> list[Part]:
    motion = str(d.rng.choice(["squat", "lunge", "jumping_jack", "biceps_curl", "overhead_press", "pull_up",
                               "front_raise"]))  # fmt: skip
    return [d.stand(0.3, 1.5), d.down_and_up(motion, quick=d.between(0.9, 1.8)), d.stand(0.3, 1.0)]


def _crouch(d: _Director, speed: float) -> Part:
    return d.part("squat", repetitions=1, tempo=Tempo(0.9, 0.1, 0.9, 0.1), end_s=0.9, speed=speed)


def _push_ups(d: _Director) -> list[Part]:
    crouch, ups = _crouch(d, d.between(0.7, 1.6)), d.down_and_up("push_up")
    parts = [d.stand(0.5, 1.5), crouch, _blend(crouch, ups, d.between(0.3, 1.2)), ups]
    if d.rng.random() < 0.3:
        return parts[-1:]
    if d.rng.random() < 0.5:
        return parts
    return [*parts, _blend(ups, crouch, d.between(0.4, 1.0)), Part(crouch.joints_m[::-1]), d.stand(0.5, 1.0)]


def _burpees(d: _Director) -> list[Part]:
    crouch = _crouch(d, d.between(1.2, 2.4))
    parts: list[Part] = [d.stand(0.4, 1.2)]
    for _ in range(int(d.rng.integers(1, 5))):
        floor = d.part("push_up", repetitions=int(d.rng.integers(1, 3)), speed=d.between(1.0, 2.0))
        parts += [crouch, _blend(crouch, floor, d.between(0.15, 0.4)), floor]
        parts += [_blend(floor, crouch, d.between(0.15, 0.4)), Part(crouch.joints_m[::-1])]
        if d.rng.random() < 0.7:
            parts.append(d.part("jumping_jack", repetitions=1, speed=d.between(1.0, 1.5)))
    return parts[: -int(d.rng.integers(1, 4))] if d.rng.random() < 0.3 else parts


def _sit_ups(d: _Director) -> list[Part]:
    ups = d.down_and_up("sit_up", quick=d.between(0.8, 1.6))
    if d.rng.random() < 0.5:
        return [ups]
    down = d.part("lie_down", speed=d.between(0.8, 1.8), end_s=4.4)
    return [d.stand(0.3, 1.5), down, _blend(down, ups, 0.8), ups]


SCENES: dict[str, tuple[Scene, float]] = {
    "falls": (_falls, 3.0),
    "falls_from_chair": (_falls_from_chair, 1.0),
    "collapses": (_collapses, 1.0),
    "sits": (_sits, 0.7),
    "sits_fast_and_stays": (_sits_fast_and_stays, 1.0),
    "lies_down": (_lies_down, 1.2),
    "lies_on_a_bed": (_lies_on_a_bed, 0.6),
    "lies_from_the_start": (_lies_from_the_start, 0.6),
    "bends": (_bends, 0.8),
    "exercises": (_exercises, 1.0),
    "push_ups": (_push_ups, 1.0),
    "burpees": (_burpees, 1.6),
    "sit_ups": (_sit_ups, 0.8),
}
"""Each scene and how often it comes, relative to the others."""


def _blend(before: Part, after: Part, seconds: float) -> Part:
    """On the way from the end of one part to the start of the other."""
    share = (1 - np.cos(np.linspace(0, np.pi, max(2, round(seconds * FPS)))))[:, None, None] / 2
    first, last = before.joints_m[-1], after.joints_m[0]
    return Part(first + share * (_moved_to(last, first) - first))


def _moved_to(joints_m: Array, place_m: Array) -> Array:
    """``joints_m`` (..., 33, 3) moved over the floor: the first frame's hips go where those of ``place_m`` are."""
    start = joints_m if joints_m.ndim == 2 else joints_m[0]
    way = (place_m[_HIPS] - start[_HIPS]).mean(axis=0)
    return joints_m + way * [1, 0, 1]


def chained(parts: list[Part], blend_s: float = 0.25) -> tuple[Array, tuple[FallTimes, ...]]:
    """(T, 33, 3) joints of the whole scene at ``FPS`` and its falls."""
    pieces: list[Array] = []
    falls = []
    frames = 0
    for part in parts:
        joints = part.joints_m
        if pieces:
            last = pieces[-1][-1]
            joints = _moved_to(joints, last)
            jump = np.abs(joints[0] - last).max()
            if jump > 0.03:
                bridge = _blend(Part(last[None]), Part(joints), blend_s if part.fall is None else 0.12).joints_m
                pieces.append(bridge)
                frames += len(bridge)
        if part.fall is not None:
            start = frames / FPS
            falls.append(FallTimes(max(0.0, start + part.fall.onset_s), start + part.fall.impact_s))
        pieces.append(joints)
        frames += len(joints)
    return np.concatenate(pieces), tuple(falls)


def seen_by(joints_m: Array, camera: Camera, rng: np.random.Generator, *, fps: float = FPS,
            noise: float = 0.012, skeleton: Skeleton = BLAZEPOSE_33, fps_in: float = FPS) -> PoseSequence:  # fmt: skip
    """3D joints (T, J, 3) in metres as a pose model would give them in the camera's picture.

    Args:
        fps: of the result; noise: standard deviation in body heights (0.01 is about 1.7 cm).
    """
    length_s = (len(joints_m) - 1) / fps_in
    time_s = np.arange(0, length_s + 1e-9, 1 / fps)
    frames = np.clip(np.round(time_s * fps_in).astype(int), 0, len(joints_m) - 1)
    xy, depth = camera.project(joints_m[frames])
    height_px = 1.7 * camera.focal_px / np.nanmedian(depth)
    count, joints = xy.shape[:2]
    keep = np.exp(-1 / (0.15 * fps))  # noise that lasts about 0.15 s, as a model's does
    steps = rng.normal(size=(count, joints, 2)) * np.sqrt(1 - keep**2)
    drift = np.zeros_like(steps)
    for frame in range(1, count):
        drift[frame] = keep * drift[frame - 1] + steps[frame]
    xy = xy + noise * height_px * (drift + 0.3 * rng.normal(size=xy.shape))
    score = np.clip(rng.normal(0.92, 0.06, size=(count, joints)), 0.3, 1.0)
    lost = rng.random(joints) < 0.08  # hidden for most of the clip
    score[:, lost] = rng.uniform(0.02, 0.3, size=(count, int(lost.sum())))
    for _ in range(rng.poisson(length_s / 6)):  # a short loss of everybody
        start = rng.uniform(0, length_s)
        xy[(time_s >= start) & (time_s < start + rng.uniform(0.1, 0.6))] = np.nan
    if rng.random() < 0.25 and count > 4:  # left and right exchanged for a while
        start = int(rng.integers(0, count - 2))
        some = slice(start, start + max(1, int(0.3 * fps)))
        xy[some] = xy[some][:, list(skeleton.mirror_order)]
    width, height = camera.size
    outside = (xy[..., 0] < 0) | (xy[..., 0] >= width) | (xy[..., 1] < 0) | (xy[..., 1] >= height)
    score = np.where(outside, score * 0.3, score)
    if rng.random() < 0.5:  # models that never leave the picture
        xy = np.where(outside[..., None], np.nan, xy)
    mostly_out = outside.mean(axis=1) > 0.75
    xy[mostly_out] = np.nan
    xy[~np.isfinite(xy).all(axis=2)] = np.nan
    score = np.where(np.isfinite(xy).all(axis=2), score, np.nan)
    return PoseSequence(skeleton, time_s, xy, score, None, camera.size)


def random_camera(rng: np.random.Generator) -> Camera:
    """A room camera: knee height to ceiling, two to seven metres away, looking roughly at the person."""
    distance, height = rng.uniform(2.3, 7.0), rng.uniform(0.5, 2.7)
    pitch = np.degrees(np.arctan2(height - 0.8, distance)) + rng.normal(0, 3)
    size = [(640, 480), (1280, 720), (480, 640), (720, 1280)][int(rng.choice(4, p=[0.4, 0.4, 0.1, 0.1]))]
    return Camera(rng.uniform(0, 360), height, distance, float(np.clip(pitch, -30, 60)), rng.uniform(22, 40), size)


def leaving_downwards(rng: np.random.Generator, sequence: PoseSequence) -> PoseSequence:
    """The same person, who from some moment on sinks out of the picture in half a second to a second and a half."""
    time_s = sequence.time_s
    start = rng.uniform(0.3, 0.7) * time_s[-1]
    share = np.clip((time_s - start) / rng.uniform(0.4, 1.5), 0, 1)
    boxes = sequence.boxes_px()
    way = sequence.image_size[1] - np.nanmin(boxes[:, 1]) if np.isfinite(boxes).any() else 0.0
    xy = sequence.xy_px + (share**1.3 * way)[:, None, None] * [0, 1]
    outside = xy[..., 1] >= sequence.image_size[1]
    xy = np.where(outside[..., None], np.nan, xy)
    xy[outside.mean(axis=1) > rng.uniform(0.3, 0.9)] = np.nan
    score = np.where(np.isfinite(xy).all(axis=2), sequence.score, np.nan)
    return PoseSequence(sequence.skeleton, time_s, xy, score, None, sequence.image_size)


def acted_examples(count: int, seed: int, first: int = 0) -> Iterator[Example]:
    """``count`` people, each in a scene of their own; the same seed gives the same people, number ``first`` and on."""
    names = list(SCENES)
    shares = np.array([SCENES[name][1] for name in names])
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        director = _Director(rng, Build(float(rng.uniform(1.5, 1.95))), int(rng.integers(1 << 30)))
        joints, falls = chained(SCENES[name][0](director))
        joints = joints - joints[:, _HIPS].mean(axis=(0, 1)) * [1, 0, 1]
        fps = float(rng.choice([10, 15, 18, 25, 30, 30, 60]))
        sequence = seen_by(joints, random_camera(rng), rng, fps=fps, noise=float(rng.uniform(0.004, 0.022)))
        if not falls and rng.random() < 0.12:
            sequence = leaving_downwards(rng, sequence)
        yield Example(sequence, falls, f"acted:{number}", f"acted:{name}")
