"""Poses in the boxes that somebody else's detector found: the clip is looked at, people are not searched for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.estimation.base import Image, Region
from pipeline.estimation.registry import create_keypoint_model, default_pair
from pipeline.estimation.topdown import FollowParameters, TopDownEstimator, suited
from pipeline.media import Frame, probe, read_frames
from pipeline.poses import Recording

Boxes = Mapping[int, Sequence[Region]]
"""Frame number, from 0, to the people's boxes in it; frames that are not there hold nobody."""


class FileDetector:
    """A detector that says what a file says of the frame at hand."""

    name = "boxes of the file"
    device = "file"

    def __init__(self, boxes: Boxes) -> None:
        self.versions: dict[str, str] = {}
        self.weights_sha256: dict[str, str] = {}
        self._boxes = boxes
        self._frame: Frame | None = None

    def frames(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The same frames; each is the one at hand until the next is taken."""
        for frame in frames:
            self._frame = frame
            yield frame

    def detect(self, image: Image) -> list[Region]:
        """The frame's boxes; none in a close-up of it, which the file does not know."""
        if self._frame is None or image.shape != self._frame.image.shape:
            return []
        return list(self._boxes.get(self._frame.index, ()))


def poses_in_boxes(boxes: Boxes, clip: Path) -> Recording:
    """Everybody's poses in a clip, with the preselected key-point model.

    Raises:
        EstimatorError, MediaError: the model or the clip cannot be used.
    """
    crowd = max((len(found) for found in boxes.values()), default=0)
    parameters = FollowParameters(max_people=max(1, crowd), detect_every_s=0.0, search_every_s=0.0)
    detector = FileDetector(boxes)
    estimator = TopDownEstimator(detector, create_keypoint_model(default_pair()[1]), suited(parameters, detector.name))
    return estimator.estimate(detector.frames(read_frames(clip)), probe(clip))
