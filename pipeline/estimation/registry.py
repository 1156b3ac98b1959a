"""Which pose models there are, whether they are installed, how to get them, and how to make an estimator of them.

The models Kinoscope knows stand in ``checkpoints/registry.toml``, those a user adds in ``registry.toml`` of the models
folder. Weights of ours lie in ``checkpoints/``, everything downloaded or exported in the models folder.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

from pipeline.estimation.base import Detector, Estimator, EstimatorError, KeypointModel
from pipeline.settings import PROJECT_DIR, models_dir

if TYPE_CHECKING:
    from pipeline.estimation.mmpose_models import MMDetDetector, MMPoseKeypoints
    from pipeline.estimation.one_stage import RTMOOnnx
    from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx
    from pipeline.estimation.topdown import FollowParameters

Engine = Literal["onnx", "mmpose"]
ENGINES: tuple[Engine, ...] = ("onnx", "mmpose")
KINDS = ("pair", "detector", "keypoints")
CHECKPOINTS_DIR = PROJECT_DIR / "checkpoints"
_PREFERRED_DETECTORS = ("rtmdet-nano", "rtmdet-m", "rtmdet-tiny", "rtmdet-s", "rtmdet-l")
_PREFERRED_KEYPOINTS = (
    "rtmpose-m",
    "rtmpose-s",
    "rtmpose-l",
    "rtmpose-t",
    "rtmpose-m-384",
    "rtmpose-l-384",
    "rtmpose-x",
)


@dataclass(frozen=True)
class ModelEntry:
    """One model of the registry.

    Attributes:
        name: what the command line and the pages call it.
        kind: "detector", "keypoints", or "pair" for one that is both (BlazePose, RTMO).
        title: for people.
        skeleton: name of its skeleton; empty for a detector.
        input_size: width, height of the network's input in pixels.
        engines: what can run it: "onnx" (ONNX Runtime), "mmpose" (PyTorch), "litert".
        config: where MMPose's or MMDetection's config lies: ``mmpose:path`` or ``mmdet:path`` inside the installed
            wheel's ``.mim`` folder, or a path; empty where there is none.
        checkpoint_url: the PyTorch weights.
        onnx_url: MMDeploy's archive with the ONNX file.
        hash8: the first 8 hex digits of the checkpoint's SHA-256; empty where the file name carries none.
        checkpoint_file, onnx_file: weights already on this machine: in ``checkpoints/``, or an absolute path.
        licence: of the weights.
        published: the published accuracy 0..1; NaN when there is none.
        metric: what ``published`` measures, and on what.
        verified: True when the checkpoint's URL stands in the installed wheels' metadata, or a download here was
            verified. (No metadata lists the ONNX archives: see ``download.check``.)
        source: "builtin" or "user".
    """

    name: str
    kind: str
    title: str
    skeleton: str = ""
    input_size: tuple[int, int] = (0, 0)
    engines: tuple[str, ...] = ENGINES
    config: str = ""
    checkpoint_url: str = ""
    onnx_url: str = ""
    hash8: str = ""
    checkpoint_file: str = ""
    onnx_file: str = ""
    licence: str = "Apache-2.0"
    published: float = float("nan")
    metric: str = ""
    verified: bool = False
    source: str = "builtin"

    @property
    def checkpoint_path(self) -> Path | None:
        """Where the PyTorch weights lie or belong; None when the model has none."""
        if self.checkpoint_file:
            return CHECKPOINTS_DIR / self.checkpoint_file  # an absolute path stays as it is
        return models_dir() / url_name(self.checkpoint_url) if self.checkpoint_url else None

    @property
    def onnx_path(self) -> Path:
        """Where the ONNX file lies or belongs, whether it came out of an archive or was exported."""
        return CHECKPOINTS_DIR / self.onnx_file if self.onnx_file else models_dir() / f"{self.name}.onnx"

    @property
    def onnx_archive_path(self) -> Path | None:
        """Where MMDeploy's archive belongs; None when none is published."""
        return models_dir() / url_name(self.onnx_url) if self.onnx_url else None


def url_name(url: str) -> str:
    """The file name at the end of a URL."""
    return Path(urlsplit(url).path).name


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return list(tomllib.loads(path.read_text(encoding="utf-8")).get("model", []))
    except FileNotFoundError:
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EstimatorError(f"{path} is not a readable model registry ({error}); mend it or move it away.") from error


def _entry(row: dict[str, Any], path: Path, source: str) -> ModelEntry:
    known = {field.name for field in fields(ModelEntry)} - {"source"}
    if set(row) - known or not {"name", "kind", "title"} <= set(row) or row["kind"] not in KINDS:
        raise EstimatorError(
            f"{path}: the entry {row.get('name', '?')!r} is not understood; "
            f"it needs name, kind ({', '.join(KINDS)}) and title, and may have {', '.join(sorted(known))}."
        )
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return ModelEntry(**values, source=source)


@lru_cache(maxsize=8)
def _read(path: Path, source: str, _modified_ns: int) -> tuple[ModelEntry, ...]:
    return tuple(_entry(row, path, source) for row in _rows(path))


def _registry(path: Path, source: str) -> tuple[ModelEntry, ...]:
    return _read(path, source, path.stat().st_mtime_ns if path.exists() else 0)


def user_registry_path() -> Path:
    """Where the models that a user added are written down."""
    return models_dir() / "registry.toml"


def list_models() -> tuple[ModelEntry, ...]:
    """All models: the built-in ones in the registry's order, then the user's own (one of the same name wins)."""
    entries = {e.name: e for e in _registry(CHECKPOINTS_DIR / "registry.toml", "builtin")}
    entries |= {e.name: e for e in _registry(user_registry_path(), "user")}
    return tuple(replace(e, verified=e.verified or any(_records(e))) for e in entries.values())


def detectors() -> tuple[ModelEntry, ...]:
    """The models that can find people."""
    return tuple(e for e in list_models() if e.kind in ("detector", "pair"))


def keypoint_models() -> tuple[ModelEntry, ...]:
    """The models that can find key points."""
    return tuple(e for e in list_models() if e.kind in ("keypoints", "pair"))


def entry(name: str) -> ModelEntry:
    """The model called ``name``. Raises EstimatorError that lists the names there are."""
    for candidate in list_models():
        if candidate.name == name:
            return candidate
    raise EstimatorError(f"There is no model {name!r}; there are: {', '.join(e.name for e in list_models())}.")


def record_path(path: Path) -> Path:
    """Where a download's SHA-256 and how it was verified are written down, beside the file."""
    return path.with_name(path.name + ".json")


def _records(model: ModelEntry) -> Iterator[Path]:
    for path in (model.checkpoint_path, model.onnx_archive_path):
        if path is not None and record_path(path).exists():
            yield record_path(path)


def weights_sha256(path: Path) -> str:
    """SHA-256 of a weights file in hex, computed once for each version of it."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: Path, _size: int, _modified_ns: int) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_installed(model: ModelEntry, engine: str | None = None) -> bool:
    """Whether the weights are on this machine (for one engine, or for any)."""
    if "litert" in model.engines:
        return importlib.util.find_spec("mediapipe") is not None
    return any(
        candidate in model.engines and any(path.exists() for path in _weights(model, candidate))
        for candidate in ((engine,) if engine else ENGINES)
    )


def _weights(model: ModelEntry, engine: str) -> tuple[Path, ...]:
    paths = (model.onnx_path, model.onnx_archive_path) if engine == "onnx" else (model.checkpoint_path,)
    return tuple(path for path in paths if path is not None)


def how_to_get(model: ModelEntry, engine: Engine = "onnx") -> str:
    """One sentence: how the weights that are missing come onto this machine."""
    if "litert" in model.engines:
        return "Install the package that carries it: pip install mediapipe==0.10.21"
    if engine not in model.engines:
        return f"{model.name} cannot run in the {engine} engine; choose one of: {', '.join(model.engines)}."
    if engine == "onnx" and is_installed(model, "mmpose"):
        return (
            f"Its PyTorch weights are here; make the ONNX file of them: python -m pipeline models export {model.name}"
        )
    if model.source == "user" or model.checkpoint_file or model.onnx_file:
        places = " or ".join(str(path) for path in _weights(model, engine))
        return f"Put the file back where it was ({places}), or add the model again: python -m pipeline models add"
    name = model.name
    onnx, url = engine == "onnx" and bool(model.onnx_url), model.onnx_url if engine == "onnx" else model.checkpoint_url
    command = f"python -m pipeline models download {name}" + ("" if onnx else " --checkpoint")
    url = url or model.checkpoint_url
    then = "" if onnx or engine == "mmpose" else f" Then make the ONNX file: python -m pipeline models export {name}."
    return f"Run `{command}`, or put {url_name(url)} from {url} into {models_dir()}.{then}"


def config_path(model: ModelEntry) -> Path:
    """The model's MMPose or MMDetection config. Raises EstimatorError when it has none or it is not installed."""
    package, separator, inside = model.config.partition(":")
    if separator and package in ("mmpose", "mmdet"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            path = Path(folder, ".mim", inside)
            if path.exists():
                return path
        raise EstimatorError(
            f"{model.name} needs the config {inside} of {package}, which is not installed; "
            "install the packages of requirements.txt and requirements-nodeps.txt."
        )
    if not model.config or not Path(model.config).exists():
        raise EstimatorError(f"{model.name} has no config for PyTorch; use the onnx engine, or add one: models add.")
    return Path(model.config)


def default_pair(engine: Engine = "onnx") -> tuple[str, str]:
    """Detector and key-point model that are preselected: RTMDet x RTMPose when installed, else BlazePose twice."""
    known = {e.name: e for e in list_models()}
    found = [
        next((name for name in names if name in known and is_installed(known[name], engine)), None)
        for names in (_PREFERRED_DETECTORS, _PREFERRED_KEYPOINTS)
    ]
    return (found[0], found[1]) if found[0] and found[1] else ("blazepose", "blazepose")


def create_detector(name: str, *, engine: Engine = "onnx", threads: int | None = None) -> Detector:
    """The detector called ``name``. Raises EstimatorError when it is unknown, not a detector or not installed."""
    model = _usable(name, "detector", engine)
    if "litert" in model.engines:
        from pipeline.estimation.blazepose import BlazePoseDetector

        return BlazePoseDetector(threads=threads)
    return _networks(model, engine)[0].from_entry(model, threads=threads)


def create_keypoint_model(name: str, *, engine: Engine = "onnx", threads: int | None = None) -> KeypointModel:
    """The key-point model called ``name``. Raises EstimatorError when it is unknown, no such model, or missing."""
    model = _usable(name, "keypoints", engine)
    if "litert" in model.engines:
        from pipeline.estimation.blazepose import BlazePoseLandmarks

        return BlazePoseLandmarks(threads=threads)
    return _networks(model, engine)[1].from_entry(model, threads=threads)


def _networks(
    model: ModelEntry, engine: Engine
) -> tuple[type[RTMOOnnx | MMDetDetector | RTMDetOnnx], type[RTMOOnnx | MMPoseKeypoints | RTMPoseOnnx]]:
    """The classes that detect and that find key points with this engine; imported here, as each brings its library."""
    if model.kind == "pair":
        from pipeline.estimation.one_stage import RTMOOnnx

        return RTMOOnnx, RTMOOnnx
    if engine == "mmpose":
        from pipeline.estimation.mmpose_models import MMDetDetector, MMPoseKeypoints

        return MMDetDetector, MMPoseKeypoints
    from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx

    return RTMDetOnnx, RTMPoseOnnx


def _usable(name: str, kind: str, engine: Engine) -> ModelEntry:
    model = entry(name)
    if model.kind not in (kind, "pair"):
        choice = detectors() if kind == "detector" else keypoint_models()
        what = "detector" if kind == "detector" else "key-point model"
        raise EstimatorError(f"{name} is no {what}; choose one of: {', '.join(e.name for e in choice)}.")
    if not is_installed(model, engine):
        raise EstimatorError(f"{name} is not installed for the {engine} engine. {how_to_get(model, engine)}")
    return model


def create_estimator(
    model: str | None = None,
    detector: str | None = None,
    parameters: FollowParameters | None = None,
    *,
    engine: Engine = "onnx",
    threads: int | None = None,
) -> Estimator:
    """Any detector x any key-point model, following people.

    Args:
        model: name of the key-point model; None for the preselected one.
        detector: name of the detector; None for the one that goes with ``model``.
        parameters: how people are found and followed; see ``suited`` for what a reliable detector does without.
        engine: what runs RTMDet and RTMPose: "onnx" (default) or "mmpose". BlazePose always runs in LiteRT.
        threads: for each network; None for as many as pay.

    Raises:
        EstimatorError: a name is unknown, or the weights are not on this machine (the message says how to get them).
    """
    from pipeline.estimation.topdown import WORKING_POINTS, TopDownEstimator, suited

    if engine not in ENGINES:
        raise EstimatorError(f"There is no engine {engine!r}; choose one of: {', '.join(ENGINES)}.")
    preferred_detector, preferred_model = default_pair(engine)
    model = model or preferred_model
    pair = entry(model).kind == "pair"
    detector = detector or (model if pair else preferred_detector)
    parameters = suited(parameters or WORKING_POINTS["balanced"], detector)
    points = create_keypoint_model(model, engine=engine, threads=threads)
    if pair and detector == model != "blazepose":  # one network that looks once for both
        return TopDownEstimator(cast(Detector, points), points, parameters)
    return TopDownEstimator(create_detector(detector, engine=engine, threads=threads), points, parameters)


def add_model(model: ModelEntry) -> ModelEntry:
    """Write a user's own model into their registry, after a first run; one of the same name is replaced.

    Returns:
        The entry as it was written: with absolute paths, and the input size and skeleton that its files tell.

    Raises:
        EstimatorError: the name or the kind is not usable, a file does not exist or is no model, config and checkpoint
            don't fit each other, or a key-point model's skeleton is missing, unknown or of another number of points.
    """
    from pipeline.estimation.own_models import completed

    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", model.name):
        raise EstimatorError(f"{model.name!r} is no name for a model; use small letters, digits, '-', '_' and '.'.")
    if any(e.name == model.name for e in _registry(CHECKPOINTS_DIR / "registry.toml", "builtin")):
        raise EstimatorError(f"{model.name} is a built-in model; choose another name.")
    if model.kind not in ("detector", "keypoints"):
        raise EstimatorError(f"The kind of a model is 'detector' or 'keypoints', not {model.kind!r}.")
    files = {"config": model.config, "checkpoint": model.checkpoint_file, "ONNX file": model.onnx_file}
    files = {what: file for what, file in files.items() if file and not (what == "config" and ":" in file[2:])}
    for what, file in files.items():
        if not Path(file).is_file():
            raise EstimatorError(f"The {what} {file} does not exist; give the path of an existing file.")
    if not model.onnx_file and not (model.config and model.checkpoint_file):
        raise EstimatorError("A model needs an ONNX file, or a config and a checkpoint; give --onnx, or both others.")
    absolute = {
        field: str(Path(getattr(model, field)).resolve())
        for field, what in (("config", "config"), ("checkpoint_file", "checkpoint"), ("onnx_file", "ONNX file"))
        if what in files
    }
    engines = (("onnx",) if model.onnx_file or model.config else ()) + (("mmpose",) if model.config else ())
    model = completed(replace(model, **absolute, engines=engines, source="user"))  # type: ignore[arg-type]
    others = [e for e in _registry(user_registry_path(), "user") if e.name != model.name]
    _write_user_registry([*others, model])
    return model


def remove_model(name: str) -> None:
    """Take a user's own model out of their registry (its files stay). Raises EstimatorError when it is not there."""
    models = _registry(user_registry_path(), "user")
    if not any(e.name == name for e in models):
        raise EstimatorError(
            f"{name} is not among the models you added: {', '.join(e.name for e in models) or 'none'}."
        )
    _write_user_registry([e for e in models if e.name != name])


def _write_user_registry(models: list[ModelEntry]) -> None:
    path = user_registry_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    defaults = asdict(ModelEntry("", "", ""))
    blocks = []
    for model in models:
        changed = {k: v for k, v in asdict(model).items() if k != "source" and v != defaults[k] and v == v}
        # Strings, booleans, numbers and lists of them look the same in JSON and TOML.
        blocks.append("\n".join(["[[model]]", *(f"{k} = {json.dumps(v)}" for k, v in changed.items())]))
    temporary = path.with_suffix(".tmp")
    temporary.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    temporary.replace(path)
    _read.cache_clear()
