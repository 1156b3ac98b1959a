"""The pose model of a live session."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from pipeline.estimation import registry
from pipeline.estimation.base import Estimator
from pipeline.inference import InferenceOptions
from pipeline.live.remote import THREADS, RemoteEstimator

KEPT_FPS = 25.0  # looking for newcomers is put off where it would cost more
FOLLOW_FOR_S = 1.5  # looking for somebody takes many times as long as following: on a busy machine longer than the
# usual 0.35 s, after which they would be lost and looked for again, for ever
LIVE_MODEL = "blazepose"
LIVE_OPTIONS = InferenceOptions(model=LIVE_MODEL, detector=LIVE_MODEL, working_point="balanced", max_people=1)


def live_estimator(options: InferenceOptions = LIVE_OPTIONS) -> Estimator:
    """The model in this process. Raises EstimatorError in words."""
    parameters = replace(options.follow_parameters("video"), target_fps=KEPT_FPS, follow_for_s=FOLLOW_FOR_S)
    return registry.create_estimator(options.model or None, options.detector or None, parameters, threads=THREADS)


def remote_estimator(options: InferenceOptions = LIVE_OPTIONS) -> RemoteEstimator:
    """The model in a process of its own. Raises RemoteError in words."""
    return RemoteEstimator(partial(live_estimator, options))
