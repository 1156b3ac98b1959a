"""RTMO (Lu et al. 2024, arXiv:2312.07526): people and key points in one look at the whole picture, in ONNX Runtime.

One network is detector and key-point model at once, so it fits where either is asked for: alone, as the detector of
another key-point model, or with another detector. The cost does not grow with the number of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.estimation.base import Image, PersonPose, Region
from pipeline.estimation.onnx_models import OnnxPeople, letterbox, regions_of, suppress
from pipeline.estimation.tracking import overlap
from pipeline.poses import Array
from pipeline.skeletons import COCO_17

SAME_PERSON = 0.3  # IoU from which a found person is the one a region asks for


class RTMOOnnx(OnnxPeople):
    """RTMO as MMDeploy exports it: dets (N, K, 5) and keypoints (N, K, 17, 3), in the network's pixels.

    ``score`` is the network's own visibility, 0..1; ``presence`` its confidence in the person.
    """

    name = "rtmo"
    kind = "RTMO, which has dets and keypoints"
    known_outputs = (2,)
    usual_size = (640, 640)
    min_score, max_iou = 0.1, 0.65
    skeleton = COCO_17

    def __init__(
        self, path: Path, input_size: tuple[int, int] | None = None, *, name: str = "", threads: int | None = None
    ) -> None:
        super().__init__(path, input_size, name=name, threads=threads)
        self._seen: tuple[Any, ...] = ()
        self._found: tuple[list[Region], list[tuple[Array, Array]]] = ([], [])

    def detect(self, image: Image) -> list[Region]:
        """People's boxes, best first."""
        return list(self._look(image)[0])

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        """One pose a region: that of the person whose box covers it best; presence 0 where there is none."""
        if not regions:
            return []
        found, points = self._look(image)
        poses = []
        for region in regions:
            shares = [overlap(region.box_px, other.box_px) for other in found]
            best = int(np.argmax(shares)) if shares else -1
            if best < 0 or shares[best] < SAME_PERSON:
                nothing = np.full((len(COCO_17), 2), np.nan)
                poses.append(PersonPose(nothing, np.zeros(len(COCO_17)), 0.0, region))
                continue
            xy_px, score = points[best]
            following = Region.from_box(found[best].box_px)
            poses.append(PersonPose(xy_px, score, found[best].score, following))
        return poses

    def _look(self, image: Image) -> tuple[list[Region], list[tuple[Array, Array]]]:
        """Boxes and key points of everybody; remembered, because both are asked for of the same picture."""
        seen = (image.shape, image[::8, ::8].tobytes())  # not the array itself: a camera may reuse it
        if self._seen != seen:
            self._found = self._run_on(image)
            self._seen = seen
        return self._found

    def _run_on(self, image: Image) -> tuple[list[Region], list[tuple[Array, Array]]]:
        picture, scale = letterbox(image, self.input_size)
        tensor = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None], dtype=np.float32)
        outputs: list[Any] = sorted(self.run(tensor), key=lambda output: output.ndim)
        rows, points = (output[0].astype(np.float64) for output in outputs)
        likely = np.flatnonzero(rows[:, 4] >= self.min_score)
        kept = likely[suppress(rows[likely, :4], rows[likely, 4], self.max_iou)]
        kept = kept[np.argsort(-rows[kept, 4], kind="stable")]
        regions, people = [], []
        for k in kept:
            for region in regions_of(rows[k : k + 1, :4] / np.tile(scale, 2), rows[k : k + 1, 4], image):
                regions.append(region)
                people.append((points[k, :, :2] / scale, np.clip(points[k, :, 2], 0, 1)))
        return regions, people
