"""Clips of the actor, rendered and seen by the pose model: the actor's motions with a real pose model's mistakes."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from pipeline import settings
from pipeline.poses import Recording
from pipeline.recognition.classes import CLASSES, EXERCISES, UNKNOWN
from pipeline.recognition.windows import on_clock
from pipeline.synthetic.actor import ActorSpec, clip_truth, default_camera, render_clip
from pipeline.synthetic.motions import MOTIONS
from pipeline.training.recognition_sources import Track, samples_within, split_of

OTHERS = ("sit_down", "pick_up", "tie_shoes", "walk", "stand", "fall_forward", "lie_down")
SIZE = (384, 288)


def rendered(clips_a_class: int, progress: Callable[[str, float], None]) -> Iterator[Track]:
    """``clips_a_class`` clips of each exercise and a third as many of each other motion; poses kept in the cache."""
    plan = [(motion, number) for motion in EXERCISES for number in range(clips_a_class)]
    plan += [(motion, number) for motion in OTHERS for number in range(-(-clips_a_class // 3))]
    for done, (motion, number) in enumerate(plan):
        progress(f"rendering {motion} {number + 1}", done / len(plan))
        spec = clip_spec(motion, number)
        recording, truth = poses_of(spec), clip_truth(spec)
        people = sorted(recording.people, key=lambda person: -person.frames_seen)[:1]
        for person in people:
            if person.frames_seen < 30:
                continue
            clock = on_clock(person)
            marks = np.full(len(clock.points), CLASSES.index(UNKNOWN), np.int8)
            if motion in EXERCISES:
                spans = np.array([(rep.start_s, rep.end_s) for rep in truth.people[0].repetitions])
                marks = samples_within(clock.time_s, spans, CLASSES.index(motion))
            group = f"rendered/{motion}/{number}"
            yield Track(
                "rendered", group, split_of(group), f"{motion}-{number}", clock.points.astype(np.float32), marks
            )


def clip_spec(motion: str, number: int) -> ActorSpec:
    """The clip of this number: anywhere around the person, any size of person, slow to quick."""
    rng = np.random.default_rng((71, number, sorted(MOTIONS).index(motion)))
    spec = ActorSpec.one(
        motion, seed=int(rng.integers(1 << 20)), repetitions=3, depth=float(rng.uniform(0.75, 1.05)), fps=15.0,
        size=SIZE, variation=float(rng.uniform(0.6, 1.6)), lead_in_s=0.6, lead_out_s=0.6,
    )  # fmt: skip
    camera = default_camera(spec.actors, "front", SIZE)
    return replace(spec, camera=replace(camera, yaw_deg=float(rng.uniform(-120, 120))))


def poses_of(spec: ActorSpec) -> Recording:
    """The default pose model's answer to the clip; estimated the first time, then read from the user's cache."""
    from pipeline.estimation.registry import default_pair
    from pipeline.inference import InferenceOptions, infer
    from pipeline.runs import RunStore

    key = hashlib.sha256(f"{asdict(spec)} {default_pair()}".encode()).hexdigest()[:16]
    kept = settings.cache_dir() / "recognition" / f"rendered-{key}.json.gz"
    if kept.is_file():
        return Recording.from_json(gzip.decompress(kept.read_bytes()))
    with tempfile.TemporaryDirectory() as place:
        clip = Path(place) / "clip.mp4"
        render_clip(spec, clip)
        run = infer(clip, RunStore(Path(place) / "runs"), InferenceOptions(overlay=False, link_source=True))
        recording = run.recording()
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    part.write_bytes(gzip.compress(recording.to_json(), 3))
    part.replace(kept)
    return recording
