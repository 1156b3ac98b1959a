"""MMPose and MMDetection without mmcv's compiled operations.

``mmcv-lite`` has no ``mmcv._ext``, yet mmdet and mmpose import ``mmcv.ops`` at every start. A stand-in module takes the
one operation that RTMDet's inference needs from torchvision; any other says its name when it is called. Where mmcv
was compiled, its own operations are used.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.estimation.base import EstimatorError

if TYPE_CHECKING:
    import torch

_NAME = "mmcv._ext"


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, offset: int) -> torch.Tensor:
    """Positions of the boxes (N, 4) that survive, best first; ``offset`` 1 counts a box's last pixel to its size."""
    from torchvision.ops import nms as torchvision_nms

    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes, scores, iou_threshold)


def _unsupported(name: str) -> Callable[..., Any]:
    def call(*_args: object, **_kwargs: object) -> Any:
        raise EstimatorError(
            f"This model needs mmcv's compiled operation {name!r}, which mmcv-lite does not have; "
            "choose another model, or compile mmcv: pip uninstall mmcv-lite && pip install mmcv==2.1.0"
        )

    return call


class _StandIn(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _unsupported(name)


def prepare() -> str:
    """Make ``mmcv.ops`` importable; must run before mmdet or mmpose are imported.

    Returns:
        "compiled" when mmcv has its own operations, else "torchvision".

    Raises:
        EstimatorError: mmcv is not installed.
    """
    if isinstance(sys.modules.get(_NAME), _StandIn):
        return "torchvision"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkg_resources announces its end on every start
        found = importlib.util.find_spec(_NAME) if importlib.util.find_spec("mmcv") else None
    if found is not None:
        return "compiled"
    if importlib.util.find_spec("mmcv") is None:
        raise EstimatorError("The mmpose engine needs mmcv; install the packages of requirements.txt.")
    stand_in = _StandIn(_NAME)
    stand_in.__spec__ = importlib.machinery.ModuleSpec(_NAME, loader=None)  # mmengine asks for it
    stand_in.nms = nms  # type: ignore[attr-defined]
    sys.modules[_NAME] = stand_in
    return "torchvision"
