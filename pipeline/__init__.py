"""Kinoscope's pipeline: from a clip to poses and what they mean. Never imports streamlit.

The names below are the public interface; each is imported when it is first used, so ``import pipeline`` takes no time:

    from pathlib import Path
    from pipeline import RunStore, analyze, infer

    run = infer(Path("clip.mp4"), RunStore(Path("outputs")))
    report = analyze(run.recording(), "squat")
    print(*report.summary, sep="\\n")

``notebooks/first_steps.ipynb`` shows them at work, ``docs/using.md`` the same as commands.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pipeline.batch.batch import open_batch as open_batch
    from pipeline.batch.batch import run_batch as run_batch
    from pipeline.exchange import ExportOptions as ExportOptions
    from pipeline.exchange import ImportOptions as ImportOptions
    from pipeline.exchange import export_poses as export_poses
    from pipeline.exchange import import_poses as import_poses
    from pipeline.exchange import import_run as import_run
    from pipeline.falls.detect import FallReport as FallReport
    from pipeline.falls.detect import detect_falls as detect_falls
    from pipeline.inference import InferenceOptions as InferenceOptions
    from pipeline.inference import Progress as Progress
    from pipeline.inference import create_estimator as create_estimator
    from pipeline.inference import infer as infer
    from pipeline.kinematics import angles as angles
    from pipeline.kinematics import camera_view as camera_view
    from pipeline.kinematics import centre_of_mass as centre_of_mass
    from pipeline.media import probe as probe
    from pipeline.media import read_frames as read_frames
    from pipeline.movements import MOVEMENTS as MOVEMENTS
    from pipeline.movements import MovementReport as MovementReport
    from pipeline.movements import measure as measure
    from pipeline.movements.analyze import analyze as analyze
    from pipeline.movements.analyze import judge as judge
    from pipeline.poses import MediaInfo as MediaInfo
    from pipeline.poses import ModelInfo as ModelInfo
    from pipeline.poses import PoseSequence as PoseSequence
    from pipeline.poses import Recording as Recording
    from pipeline.recognition.segments import Recognition as Recognition
    from pipeline.recognition.segments import recognize as recognize
    from pipeline.repetitions import LiveRepetitions as LiveRepetitions
    from pipeline.repetitions import Repetition as Repetition
    from pipeline.repetitions import find_repetitions as find_repetitions
    from pipeline.report import make_progress_report as make_progress_report
    from pipeline.report import make_report as make_report
    from pipeline.report import write_report as write_report
    from pipeline.runs import Run as Run
    from pipeline.runs import RunStore as RunStore
    from pipeline.scoring.assess import Assessment as Assessment
    from pipeline.scoring.assess import ChainOptions as ChainOptions
    from pipeline.scoring.assess import assess as assess
    from pipeline.scoring.kept import score_run as score_run
    from pipeline.signal import clean as clean
    from pipeline.skeletons import SKELETONS as SKELETONS
    from pipeline.skeletons import Skeleton as Skeleton
    from pipeline.synthetic.actor import ActorSpec as ActorSpec
    from pipeline.synthetic.actor import render_clip as render_clip

_PLACES = {
    "pipeline.batch.batch": ("open_batch", "run_batch"),
    "pipeline.exchange": ("ExportOptions", "ImportOptions", "export_poses", "import_poses", "import_run"),
    "pipeline.falls.detect": ("FallReport", "detect_falls"),
    "pipeline.inference": ("InferenceOptions", "Progress", "create_estimator", "infer"),
    "pipeline.kinematics": ("angles", "camera_view", "centre_of_mass"),
    "pipeline.media": ("probe", "read_frames"),
    "pipeline.movements": ("MOVEMENTS", "MovementReport", "measure"),
    "pipeline.movements.analyze": ("analyze", "judge"),
    "pipeline.poses": ("MediaInfo", "ModelInfo", "PoseSequence", "Recording"),
    "pipeline.recognition.segments": ("Recognition", "recognize"),
    "pipeline.repetitions": ("LiveRepetitions", "Repetition", "find_repetitions"),
    "pipeline.report": ("make_progress_report", "make_report", "write_report"),
    "pipeline.runs": ("Run", "RunStore"),
    "pipeline.scoring.assess": ("Assessment", "ChainOptions", "assess"),
    "pipeline.scoring.kept": ("score_run",),
    "pipeline.signal": ("clean",),
    "pipeline.skeletons": ("SKELETONS", "Skeleton"),
    "pipeline.synthetic.actor": ("ActorSpec", "render_clip"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
