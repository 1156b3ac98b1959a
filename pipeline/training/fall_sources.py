"""The real takes that fall detection learns from: which clips, what they show, and their poses.

The clips are private (``settings.data_dir()``) and never copied; only their poses are kept, in the user's cache.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline import settings
from pipeline.poses import Recording
from pipeline.synthetic.timeline import FallTimes

UPFALL, URFD = "upfall", "urfd"
URFD_FPS = 30.0
# The same footage stands in the test clips of media/, or is kept back: never trained on (data/falls/README.txt).
NEVER_TRAIN: dict[str, frozenset[str]] = {
    UPFALL: frozenset({"A1_T1", "A2_T2", "A3_T1", "A8_T1", "A9_T1", "A11_T1", "A4_T1", "A5_T1", "A10_T2", "A11_T3"}),
    URFD: frozenset({"fall-02", "fall-17", "fall-19", "fall-08", "fall-27"}),
}
UPFALL_FALLS = frozenset({"A1", "A2", "A3", "A4", "A5"})
# What matters most first, so that a training that is cut short has the falls.
_ORDER = ("A1", "A2", "A3", "A4", "A5", "A9", "fall", "A10", "A11", "A8", "A6", "A7")


@dataclass(frozen=True)
class Take:
    """One clip of a data set.

    path: the clip; source: the data set; take: what was filmed: cameras that saw the same thing share it, and both are
    on one side of every split; activity: "A1".. of UP-Fall, "fall" of UR Fall; is_fall: somebody falls in it, once.
    """

    path: Path
    source: str
    take: str
    activity: str
    is_fall: bool

    @property
    def group(self) -> str:
        """The name that splits go by."""
        return f"{self.source}:{self.take}"


def training_takes(data: Path | None = None) -> list[Take]:
    """Every clip of UP-Fall and UR Fall that may be trained on, the falls first.

    Takes of ``NEVER_TRAIN`` are left out. An empty list when the private data is not there.
    """
    folder = (data or settings.data_dir()) / "data" / "falls"
    takes = []
    for path in sorted((folder / "upfall_s1").glob("A*_T*_C*.mp4")):
        activity, trial, _ = path.stem.split("_")
        takes.append(Take(path, UPFALL, f"{activity}_{trial}", activity, activity in UPFALL_FALLS))
    for path in sorted((folder / "urfd_falls").glob("fall-*.mp4")):
        takes.append(Take(path, URFD, "-".join(path.stem.split("-")[:2]), "fall", True))
    allowed = [take for take in takes if take.take not in NEVER_TRAIN[take.source]]
    return sorted(allowed, key=lambda take: (_ORDER.index(take.activity), take.path.name))


def falling_times(take: Take, data: Path | None = None) -> FallTimes | None:
    """When UR Fall's own per-frame labels (0 not, 1 falling, 2 fallen) say that the fall begins and ends.

    Frames are counted from 1, at ``URFD_FPS``. None for takes without such labels.
    """
    path = (data or settings.data_dir()) / "data" / "falls" / "pose_urfd_3classes.csv.gz"
    if take.source != URFD or not path.is_file():
        return None
    labels = _urfd_labels(path).get(take.take, {})
    falling = [frame for frame, label in labels.items() if label == 1]
    if not falling:
        return None
    fallen = [frame for frame, label in labels.items() if label == 2 and frame > min(falling)]
    onset, impact = min(falling), min(fallen, default=max(falling))
    return FallTimes((onset - 1) / URFD_FPS, (impact - 1) / URFD_FPS)


@cache
def _urfd_labels(path: Path) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["video"], {})[int(row["frame"])] = int(float(row["label"]))
    return found


def cached_poses(path: Path, folder: Path | None = None) -> Recording:
    """The poses of a clip by the default model; estimated the first time, then read from the user's cache.

    Raises:
        MediaError, EstimatorError: in words.
    """
    from pipeline.estimation.registry import default_pair
    from pipeline.inference import InferenceOptions, infer
    from pipeline.runs import RunStore

    model = "-".join(default_pair())
    stat = path.stat()
    key = hashlib.sha256(f"{path.name} {stat.st_size} {model}".encode()).hexdigest()[:12]
    kept = (folder or settings.cache_dir() / "fall-poses") / f"{path.stem}-{key}.json.gz"
    if kept.is_file():
        return Recording.from_json(gzip.decompress(kept.read_bytes()))
    with tempfile.TemporaryDirectory() as place:
        recording = infer(path, RunStore(Path(place)), InferenceOptions(overlay=False, link_source=True)).recording()
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    part.write_bytes(gzip.compress(recording.to_json(), 3))
    part.replace(kept)
    return recording


def extract(takes: list[Take], progress: Callable[[str, float], None]) -> list[Recording]:
    """The poses of all takes, in their order."""
    recordings = []
    for number, take in enumerate(takes):
        progress(f"poses of {take.path.name}", number / max(1, len(takes)))
        recordings.append(cached_poses(take.path))
    return recordings
