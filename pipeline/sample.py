"""The sample: a clip that the rendered actor makes, and its analysis, once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from pipeline import __version__, settings
from pipeline.inference import InferenceOptions, Progress, infer
from pipeline.movements.analyze import analyze
from pipeline.runs import Run, RunStore
from pipeline.synthetic.actor import ActorSpec, render_clip, truth_path
from pipeline.synthetic.timeline import Tempo

SAMPLE_NAME = "sample: squats, rendered.mp4"
SAMPLE_TAG = "sample"


def sample_spec() -> ActorSpec:
    """Four squats seen from the front left, the knees falling in a little."""
    return ActorSpec.one(
        "squat",
        repetitions=4,
        tempo=Tempo(1.2, 0.3, 1.1, 0.4),
        faults={"knees_in": 0.5},
        view="oblique",
        seed=7,
    )


def sample_clip(progress: Callable[[float], None] | None = None) -> Path:
    """The sample clip; rendered into the cache folder the first time. Its truth lies beside it."""
    spec = sample_spec()
    key = hashlib.sha256(f"{__version__} {spec!r}".encode()).hexdigest()[:12]
    path = settings.cache_dir() / f"sample-{key}.mp4"
    if not (path.is_file() and truth_path(path).is_file()):
        path.parent.mkdir(parents=True, exist_ok=True)
        making = path.with_name(f"making-{os.getpid()}-{path.name}")
        try:
            render_clip(spec, making, progress)
            truth_path(making).replace(truth_path(path))
            making.replace(path)
        finally:
            making.unlink(missing_ok=True)
            truth_path(making).unlink(missing_ok=True)
    return path


def find_sample_run(store: RunStore) -> Run | None:
    """The newest complete run of the sample in this store; None when there is none."""
    for run in store.runs():
        try:
            manifest = run.manifest
        except ValueError:
            continue
        if SAMPLE_TAG in manifest.tags and manifest.source.get("name") == SAMPLE_NAME and manifest.state == "complete":
            return run
    return None


def ensure_sample_run(
    store: RunStore,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Run:
    """The sample's run; made when the store has no complete one."""
    found = find_sample_run(store)
    if found is not None:
        return found
    options = InferenceOptions(tags=(SAMPLE_TAG,))
    return infer(sample_clip(), store, options, name=SAMPLE_NAME, progress=progress, cancelled=cancelled)


def make_sample_run(store: RunStore, say: Callable[[str], None]) -> Run:
    """``ensure_sample_run`` that says what it does."""
    found = find_sample_run(store)
    if found is not None:
        say(f"The sample is already analysed: {found.id}")
        return found
    say("Rendering the sample clip (four squats by the rendered actor)")
    clip = sample_clip()
    say("Finding the people and their poses in every frame")
    run = ensure_sample_run(store)
    manifest = run.manifest
    say(
        f"Done: {manifest.frames} frames of {clip.name} in {manifest.seconds:.1f} s "
        f"({manifest.frames / max(manifest.seconds, 1e-9):.0f} a second), {len(manifest.people)} person"
    )
    say("Counting the repetitions and judging their form")
    report = analyze(run.recording(), "squat")
    run.add_result(f"movement-{report.movement}-person{report.person}", report.to_json())
    for sentence in report.summary:
        say(f"  {sentence}")
    return run
