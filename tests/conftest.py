"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline import settings
from pipeline.poses import PoseSequence
from pipeline.skeletons import BLAZEPOSE_33, Skeleton


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """The private clips; tests that need them skip elsewhere."""
    folder = settings.data_dir() / "media"
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"the private test data is not here (KINOSCOPE_DATA={settings.data_dir()})")
    return folder


def random_sequence(
    frames: int = 12, skeleton: Skeleton = BLAZEPOSE_33, person: int = 1, seed: int = 0, gaps: bool = True
) -> PoseSequence:
    """A person of random numbers, some of them missing."""
    random = np.random.default_rng(seed)
    shape = (frames, len(skeleton))
    xy_px = random.uniform(0, 400, (*shape, 2))
    xyz_m = random.normal(0, 0.5, (*shape, 3))
    score = random.uniform(0, 1, shape)
    if gaps and frames > 3:
        for values in (xy_px, xyz_m, score):
            values[2] = np.nan
    return PoseSequence(
        skeleton, np.cumsum(random.uniform(0.02, 0.05, frames)), xy_px, score, xyz_m, (640, 480), person
    )
