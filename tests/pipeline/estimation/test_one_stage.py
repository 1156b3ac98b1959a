"""RTMO's file format with made-up answers: one look serves detector and key points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from pipeline.estimation.base import EstimatorError, Region
from pipeline.estimation.one_stage import RTMOOnnx
from pipeline.estimation.registry import create_estimator
from pipeline.estimation.topdown import WORKING_POINTS
from tests.pipeline.estimation.test_onnx_models import save_graph

PICTURE = np.zeros((240, 320, 3), dtype=np.uint8)  # becomes 640 x 480 in the network: twice the size


def rtmo_file(path: Path) -> Path:
    """Two people and a double of the first, in the network's pixels."""
    boxes = np.array([[40, 40, 200, 440, 0.9], [44, 40, 204, 440, 0.7], [400, 80, 560, 460, 0.8]], dtype=np.float32)
    points = np.zeros((3, 17, 3), dtype=np.float32)
    for row, box in zip(points, boxes, strict=True):
        row[:, 0] = np.linspace(box[0] + 20, box[2] - 20, 17)
        row[:, 1] = np.linspace(box[1] + 20, box[3] - 20, 17)
        row[:, 2] = np.linspace(0.5, 1.0, 17)
    return save_graph(
        path,
        [helper.make_node("Identity", ["d"], ["dets"]), helper.make_node("Identity", ["k"], ["keypoints"])],
        ["dets", "keypoints"],
        ["batch", 3, "height", "width"],
        {"d": boxes[None], "k": points[None]},
    )


def test_boxes_and_points_come_from_one_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = RTMOOnnx(rtmo_file(tmp_path / "o.onnx"))
    runs = []
    run = model.run
    monkeypatch.setattr(model, "run", lambda tensor: runs.append(tensor.shape) or run(tensor))
    regions = model.detect(PICTURE)
    np.testing.assert_allclose([r.box_px for r in regions], [[20, 20, 100, 220], [200, 40, 280, 230]])
    poses = model.keypoints(PICTURE, [regions[1], regions[0], Region.from_box([110, 0, 150, 30])])
    assert runs == [(1, 3, 640, 640)]
    np.testing.assert_allclose(poses[0].xy_px[[0, -1]], [[210, 50], [270, 220]])
    np.testing.assert_allclose(poses[1].xy_px[0], [30, 30])
    np.testing.assert_allclose(poses[1].score[[0, -1]], [0.5, 1.0])
    assert [pose.presence for pose in poses] == pytest.approx([0.8, 0.9, 0.0])
    assert np.isnan(poses[2].xy_px).all()
    assert model.keypoints(PICTURE, []) == []


def test_it_follows_people_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path))
    rtmo_file(tmp_path / "rtmo-s.onnx")
    estimator = create_estimator("rtmo-s", parameters=WORKING_POINTS["fast"])
    assert (estimator.info.detector, estimator.info.name) == ("rtmo-s", "rtmo-s")
    for time_s in (0.0, 0.1, 0.2):
        poses = estimator.update(PICTURE.copy(), time_s)
        assert [pose.person for pose in poses] == [1, 2]


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    one = save_graph(tmp_path / "x.onnx", [helper.make_node("Identity", ["input"], ["y"])], ["y"], [1, 3, 8, 8], {})
    with pytest.raises(EstimatorError, match="no RTMO"):
        RTMOOnnx(one)
