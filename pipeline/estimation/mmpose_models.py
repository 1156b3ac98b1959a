"""The PyTorch engine: any MMPose top-down model and any MMDetection detector, from their own configs.

Slower than the ONNX engine (three to six times on a CPU), but it runs what a researcher brings, and it is what the
ONNX engine is held against: preprocessing, network and decoding are MMPose's and MMDetection's own.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.estimation import mmcv_ops
from pipeline.estimation.accelerators import log_idle_gpu
from pipeline.estimation.base import EstimatorError, Image, PersonPose, Region
from pipeline.estimation.onnx_models import BOX_PADDING, ROTATED_LOOK, pose_of, regions_of
from pipeline.estimation.registry import ModelEntry, config_path, weights_sha256
from pipeline.skeletons import SKELETONS, Skeleton

if TYPE_CHECKING:
    import torch

_JOINT_NAMES = {"hip": "hip_center"}  # Halpe's name for the middle of the hips


@contextmanager
def _quiet() -> Iterator[None]:
    """MMEngine and pkg_resources warn about themselves at every start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def safe_types() -> list[Any]:
    """What OpenMMLab's checkpoints hold besides tensors: log histories of MMEngine, and NumPy arrays and scalars.

    torch.load(weights_only=True) refuses everything else, so a checkpoint cannot run code.
    """
    from _codecs import encode

    from mmengine.logging.history_buffer import HistoryBuffer

    multiarray: Any = importlib.import_module("numpy.core.multiarray")
    names = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        (multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
        (multiarray._reconstruct, "numpy._core.multiarray._reconstruct"),  # written by NumPy 2
        (multiarray.scalar, "numpy.core.multiarray.scalar"),
        (multiarray.scalar, "numpy._core.multiarray.scalar"),
        encode,  # how NumPy pickles a scalar's bytes
        (_history_method, "builtins.getattr"),  # histories pickle their methods by name; nothing else is looked up
        *dict.fromkeys(type(np.dtype(name)) for name in names),
    ]


def _history_method(owner: Any, name: str) -> Any:
    """The one use of getattr in official checkpoints: a statistic of MMEngine's HistoryBuffer."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in ("min", "max", "mean", "current"):
        raise ValueError(f"a checkpoint must not look up {name!r}")
    return getattr(owner, name)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """An OpenMMLab checkpoint as a dict, without running anything in it.

    Raises:
        EstimatorError: missing, damaged, or holding other things than weights, logs and numbers.
    """
    import pickle

    import torch

    if not path.exists():
        raise EstimatorError(f"The checkpoint {path} does not exist; download it first, or mend the path.")
    try:
        with torch.serialization.safe_globals(safe_types()):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        unknown = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        raise EstimatorError(
            f"{path} cannot be loaded: it is damaged, or holds more than weights, logs and numbers "
            f"({unknown[1] if unknown else type(error).__name__})."
        ) from error
    if not isinstance(checkpoint, dict):
        raise EstimatorError(f"{path} holds a {type(checkpoint).__name__}, not the weights of a model.")
    return checkpoint


def load_weights(model: torch.nn.Module, path: Path) -> dict[str, Any]:
    """Put a checkpoint's weights into ``model``; returns the checkpoint's meta data.

    Raises:
        EstimatorError: as ``load_checkpoint``, or the weights are another model's.
    """
    checkpoint = load_checkpoint(path)
    weights = {key.removeprefix("module."): value for key, value in checkpoint.get("state_dict", checkpoint).items()}
    try:
        missing = model.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as error:
        raise EstimatorError(f"{path} belongs to another config: its weights have other sizes.") from error
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing:
        raise EstimatorError(
            f"{path} belongs to another config: {len(missing)} weights are missing, {missing[0]} for one."
        )
    meta = checkpoint.get("meta")
    return dict(meta) if isinstance(meta, Mapping) else {}


class _TorchModel:
    """What both kinds of model have in common."""

    versions: dict[str, str]

    def __init__(self, name: str, checkpoint: Path | None, threads: int | None) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.name = name
        self._cuda = torch.cuda.is_available()
        self.device = f"{torch.cuda.get_device_name() if self._cuda else 'CPU'} (PyTorch)"
        log_idle_gpu("torch", not self._cuda)
        self.weights_sha256 = {checkpoint.name: weights_sha256(checkpoint)} if checkpoint else {}
        self.versions = {p: importlib.metadata.version(p) for p in ("torch", "mmengine", "mmdet", "mmpose")}

    @property
    def _where(self) -> str:
        return "cuda:0" if self._cuda else "cpu"


def read_config(config: Path) -> Any:
    """An MMEngine config with all its bases. Raises EstimatorError when it is none."""
    from mmengine.config import Config

    try:
        with _quiet():
            return Config.fromfile(str(config))
    except (OSError, SyntaxError, KeyError, TypeError, AttributeError) as error:
        raise EstimatorError(f"{config} is not a config that MMEngine can read: {error}") from error


class MMDetDetector(_TorchModel):
    """Any MMDetection detector; only its people are used."""

    def __init__(
        self, config: Path, checkpoint: Path | None = None, *, name: str = "", threads: int | None = None
    ) -> None:
        """
        Args:
            config: of MMDetection.
            checkpoint: its weights; None keeps the random ones (for training and tests).
            name: as in the registry.
            threads: of PyTorch, for the whole process.
        """
        mmcv_ops.prepare()
        super().__init__(name or config.stem, checkpoint, threads)
        with _quiet():
            from mmdet.registry import MODELS
            from mmdet.utils import get_test_pipeline_cfg
            from mmengine.dataset import Compose
            from mmengine.model.utils import revert_sync_batchnorm
            from mmengine.registry import init_default_scope

            settings = read_config(config)
            init_default_scope("mmdet")
            if "init_cfg" in settings.model.get("backbone", {}):
                settings.model.backbone.init_cfg = None  # or it downloads the weights that training started from
            self.model = revert_sync_batchnorm(MODELS.build(settings.model)).to(self._where).eval()
            meta = load_weights(self.model, checkpoint) if checkpoint else {}
            pipeline = get_test_pipeline_cfg(settings.copy())
            pipeline[0].type = "mmdet.LoadImageFromNDArray"
            self._pipeline = Compose(pipeline)
        classes = meta.get("dataset_meta", {}).get("classes") or meta.get("CLASSES") or ("person",)
        if "person" not in classes:
            raise EstimatorError(f"{self.name} does not detect people, but: {', '.join(map(str, classes[:5]))} ...")
        self._person = list(classes).index("person")

    @classmethod
    def from_entry(cls, model: ModelEntry, threads: int | None = None) -> Self:
        """The detector of a registry entry. Raises EstimatorError when its files are not here or don't fit."""
        from pipeline.estimation.download import installed_checkpoint

        return cls(config_path(model), installed_checkpoint(model), name=model.name, threads=threads)

    def detect(self, image: Image) -> list[Region]:
        """People's boxes, best first."""
        import torch

        data = self._pipeline({"img": np.ascontiguousarray(image[..., ::-1]), "img_id": 0})
        batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
        with torch.no_grad():
            found = self.model.test_step(batch)[0].pred_instances.cpu()
        people = found.labels.numpy() == self._person
        boxes = found.bboxes.numpy().astype(np.float64)[people]
        return regions_of(boxes, found.scores.numpy().astype(np.float64)[people], image)


class MMPoseKeypoints(_TorchModel):
    """Any MMPose top-down model: RTMPose, heatmaps, regression.

    ``raw_score`` is MMPose's ``keypoint_scores``, ``score`` the same cut to 0..1 (see ``onnx_models.score_of``).
    """

    def __init__(
        self,
        config: Path,
        checkpoint: Path | None = None,
        *,
        name: str = "",
        flip_test: bool = False,
        threads: int | None = None,
    ) -> None:
        """
        Args:
            config: of MMPose, with a top-down model.
            checkpoint: its weights; None keeps the random ones (for training and tests).
            name: as in the registry.
            flip_test: average with the mirrored crop, as MMPose's benchmarks do (twice the time).
            threads: of PyTorch, for the whole process.
        """
        mmcv_ops.prepare()
        super().__init__(name or config.stem, checkpoint, threads)
        settings = read_config(config)
        if settings.get("model", {}).get("type") != "TopdownPoseEstimator":
            raise EstimatorError(f"{config} is no top-down model of MMPose; only those run here.")
        with _quiet():
            from mmengine.dataset import Compose
            from mmengine.registry import init_default_scope
            from mmpose.apis import init_model

            self.model = init_model(settings, None, device=self._where)
            meta = load_weights(self.model, checkpoint) if checkpoint else {}
            init_default_scope("mmpose")
            self._pipeline = Compose(settings.test_dataloader.dataset.pipeline)
        self.model.dataset_meta = meta.get("dataset_meta", self.model.dataset_meta)
        self.model.test_cfg["flip_test"] = flip_test
        self.skeleton = skeleton_of(self.model.dataset_meta)

    @classmethod
    def from_entry(cls, model: ModelEntry, threads: int | None = None) -> Self:
        """The key-point model of a registry entry. Raises EstimatorError when its files are not here or don't fit."""
        from pipeline.estimation.download import installed_checkpoint

        return cls(config_path(model), installed_checkpoint(model), name=model.name, threads=threads)

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        """One pose a region, everybody in one batch; regions with a margin are looked at twice, as in ONNX."""
        poses = self._look(image, regions)
        for k, region in enumerate(regions):
            if not region.tight and poses[k].presence >= ROTATED_LOOK:
                poses[k] = self._look(image, [poses[k].next_region])[0]
        return poses

    def prepare_batch(self, image: Image, regions: Sequence[Region]) -> dict[str, Any]:
        """MMPose's own crops of the regions, ready for the model's ``test_step``."""
        from mmengine.dataset import pseudo_collate

        bgr = np.ascontiguousarray(image[..., ::-1])
        samples = []
        for region in regions:
            size = np.array(region.size_px) / (1 if region.tight else BOX_PADDING)
            box = np.concatenate([np.array(region.center_px) - size / 2, np.array(region.center_px) + size / 2])
            row = {"img": bgr, "bbox": box[None].astype(np.float32), "bbox_score": np.ones(1, dtype=np.float32)}
            samples.append(self._pipeline(row | self.model.dataset_meta))
        return dict(pseudo_collate(samples))

    def _look(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        import torch

        if not regions:
            return []
        with torch.no_grad():
            results = self.model.test_step(self.prepare_batch(image, regions))
        poses = []
        for region, result in zip(regions, results, strict=True):
            raw = np.asarray(result.pred_instances.keypoint_scores[0], dtype=np.float64)
            xy_px = np.asarray(result.pred_instances.keypoints[0], dtype=np.float64)
            poses.append(pose_of(np.where(raw[:, None] > 0, xy_px, np.nan), raw, region))
        return poses


def skeleton_of(dataset_meta: Mapping[str, Any]) -> Skeleton:
    """The skeleton of an MMPose data set: one of ours when the points are the same, else a new one by its names."""
    count = int(dataset_meta["num_keypoints"])
    names = [str(dataset_meta["keypoint_id2name"][k]) for k in range(count)]
    joints = tuple(_JOINT_NAMES.get(name, name) for name in names)
    if count == 133 and names[23] == "face-0":
        return SKELETONS["coco_wholebody133"]
    for skeleton in SKELETONS.values():
        if skeleton.joints == joints:
            return skeleton
    bones = tuple((joints[a], joints[b]) for a, b in dataset_meta.get("skeleton_links", ()))
    return Skeleton(str(dataset_meta.get("dataset_name", "custom")), joints, bones)
