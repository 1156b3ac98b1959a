"""The ONNX engine: real RTMDet files in both styles, small made-up graphs with known answers, and geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline import settings
from pipeline.estimation import accelerators
from pipeline.estimation.base import EstimatorError, Image, Region
from pipeline.estimation.onnx_models import (
    OnnxNetwork,
    RTMDetOnnx,
    RTMPoseOnnx,
    crop,
    crop_matrix,
    decode_heads,
    decode_simcc,
    letterbox,
    next_region,
    normalise,
    regions_of,
    score_of,
    suppress,
)
from pipeline.estimation.registry import create_detector, create_estimator, create_keypoint_model
from pipeline.estimation.topdown import WORKING_POINTS
from pipeline.skeletons import COCO_17, HALPE_26

PHOTOS = settings.data_dir() / "media/photos_coco_val2017"
DETECTORS = settings.data_dir() / "models"
needs_models = pytest.mark.skipif(not DETECTORS.is_dir(), reason="the private RTMDet files are not here")
needs_photos = pytest.mark.skipif(not PHOTOS.is_dir(), reason="the private photographs are not here")


def save_graph(path: Path, nodes: list[Any], outputs: list[str], shape: list[Any], constants: dict[str, Any]) -> Path:
    """An ONNX file with one input called "input" of ``shape``."""
    graph = helper.make_graph(
        nodes,
        "made_up",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


def end2end_file(path: Path, detections: list[list[float]], labels: list[int]) -> Path:
    """A detector that always finds the same."""
    return save_graph(
        path,
        [helper.make_node("Identity", ["d"], ["dets"]), helper.make_node("Identity", ["l"], ["labels"])],
        ["dets", "labels"],
        ["batch", 3, "height", "width"],
        {"d": np.array([detections], dtype=np.float32), "l": np.array([labels], dtype=np.int64)},
    )


def brightest_file(path: Path, batch: int | str = "batch", joints: int = 17) -> Path:
    """A SimCC model whose every joint is where the crop is brightest: a network with a known answer.

    The maximum over channels and rows (columns), doubled in length, is the x (y) response.
    """
    nodes = []
    for axis, (reduced, name) in enumerate(((2, "simcc_x"), (3, "simcc_y"))):
        nodes += [
            helper.make_node("ReduceMax", ["input"], [f"m{axis}"], axes=[1, reduced], keepdims=0),
            helper.make_node("Unsqueeze", [f"m{axis}", "one"], [f"u{axis}"]),
            helper.make_node("Resize", [f"u{axis}", "", "double"], [f"r{axis}"], mode="nearest",
                             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
            helper.make_node("Tile", [f"r{axis}", "tiles"], [name]),
        ]  # fmt: skip
    return save_graph(
        path,
        nodes,
        ["simcc_x", "simcc_y"],
        [batch, 3, 256, 192],
        {
            "one": np.array([1], dtype=np.int64),
            "tiles": np.array([1, joints, 1], dtype=np.int64),
            "double": np.array([1, 1, 2], dtype=np.float32),
        },
    )


def any_size_file(path: Path) -> Path:
    """A SimCC model that takes any size; it is only loaded."""
    nodes = [helper.make_node("Identity", ["input"], [name]) for name in ("simcc_x", "simcc_y")]
    return save_graph(path, nodes, ["simcc_x", "simcc_y"], ["batch", 3, "height", "width"], {})


def photographs(count: int) -> list[Image]:
    paths = sorted(PHOTOS.rglob("*.jpg"))[:count]
    return [np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), dtype=np.uint8) for path in paths]


# --- detector -------------------------------------------------------------------------------------------------------


@needs_models
@needs_photos
def test_both_styles_of_the_real_detector_find_the_same_people() -> None:
    end2end = RTMDetOnnx(DETECTORS / "rtmdet_nano_person_end2end.onnx", (320, 320))
    raw = RTMDetOnnx(DETECTORS / "rtmdet_nano_raw_heads.onnx")
    people = 0
    for image in photographs(12):
        first, second = ([r for r in model.detect(image) if r.score >= 0.3] for model in (end2end, raw))
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_allclose(a.box_px, b.box_px, atol=0.01)
            assert a.score == pytest.approx(b.score, abs=1e-4)
        people += len(first)
    assert people >= 15
    assert raw.device == "CPU (ONNX Runtime)" or "CPU" not in raw.device
    assert list(raw.weights_sha256) == ["rtmdet_nano_raw_heads.onnx"] and "onnxruntime" in raw.versions


@needs_models
def test_an_empty_picture_has_nobody() -> None:
    for file in DETECTORS.glob("*.onnx"):
        detector = RTMDetOnnx(file, (320, 320))
        assert not [r for r in detector.detect(np.zeros((90, 160, 3), dtype=np.uint8)) if r.score >= 0.3]


@needs_models
def test_detectors_and_landmarks_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path))
    (tmp_path / "rtmdet-nano.onnx").symlink_to(DETECTORS / "rtmdet_nano_raw_heads.onnx")
    estimator = create_estimator("blazepose", "rtmdet-nano", WORKING_POINTS["fast"])
    assert estimator.info.detector == "rtmdet-nano" and estimator.info.name == "blazepose"
    assert estimator.info.device == "CPU (ONNX Runtime), CPU (LiteRT, XNNPACK)"
    assert estimator.update(np.zeros((96, 128, 3), dtype=np.uint8), 0.0) == ()
    for image in photographs(6):
        estimator.reset()
        if estimator.update(image, 0.0):
            return
    pytest.skip("the private photographs are not here")


def test_end_to_end_detections_are_filtered_scaled_and_cut(tmp_path: Path) -> None:
    file = end2end_file(
        tmp_path / "d.onnx",
        [[-10, 20, 80, 100, 0.6], [10, 10, 50, 50, 0.9], [0, 0, 30, 30, 0.8], [400, 0, 500, 9, 0.5], [0, 0, 0, 0, 0]],
        [0, 0, 7, 0, 0],
    )
    regions = RTMDetOnnx(file, (320, 320)).detect(np.zeros((160, 320, 3), dtype=np.uint8)[:, :160])
    # 160 x 160 becomes 320 x 320: half of the network's pixels; label 7 is no person, the fourth lies outside
    np.testing.assert_allclose([r.box_px for r in regions], [[5, 5, 25, 25], [0, 10, 40, 50]])
    assert [r.score for r in regions] == pytest.approx([0.9, 0.6])
    assert all(region.tight for region in regions)


def test_letterbox_keeps_the_ratio_and_pads() -> None:
    padded, scale = letterbox(np.full((100, 50, 3), 200, dtype=np.uint8), (320, 320))
    assert padded.shape == (320, 320, 3)
    assert (padded[:, :160] == 200).all() and (padded[:, 160:] == 114).all()
    np.testing.assert_allclose(scale, [3.2, 3.2])


@pytest.mark.parametrize("classes", [1, 80])
@pytest.mark.parametrize("channels_last", [True, False])
def test_heads_are_decoded_in_either_layout(classes: int, channels_last: bool) -> None:
    heads = [np.full((1, side, side, classes + 4), -9, dtype=np.float32) for side in (40, 20, 10)]
    heads[1][0, 5, 7] = 0
    heads[1][0, 5, 7, 0] = 2.0
    heads[1][0, 5, 7, -4:] = [10, 20, 30, 40]
    if classes > 1:
        heads[0][0, 3, 3, 1] = 5.0  # another class
    if not channels_last:
        heads = [np.ascontiguousarray(np.moveaxis(head, 3, 1)) for head in heads]
    boxes, scores = decode_heads(heads, (320, 320), 0.3)
    np.testing.assert_allclose(boxes, [[7 * 16 - 10, 5 * 16 - 20, 7 * 16 + 30, 5 * 16 + 40]])
    np.testing.assert_allclose(scores, [1 / (1 + np.exp(-2))])


def test_suppression_agrees_with_torchvision() -> None:
    import torch
    from torchvision.ops import nms

    random = np.random.default_rng(3)
    corners = random.uniform(0, 200, (300, 2))
    boxes = np.concatenate([corners, corners + random.uniform(5, 120, (300, 2))], axis=1)
    scores = random.uniform(0.05, 1, 300)
    expected = nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.6).numpy()
    np.testing.assert_array_equal(suppress(boxes, scores, 0.6), expected)
    assert suppress(np.empty((0, 4)), np.empty(0), 0.6).size == 0


def test_nothing_left_of_a_box_is_no_region() -> None:
    image = np.zeros((50, 50, 3), dtype=np.uint8)
    assert regions_of(np.array([[60.0, 0, 70, 10], [10, 10, 10, 20]]), np.array([0.9, 0.8]), image) == []


# --- key points -----------------------------------------------------------------------------------------------------


def spot(x: int, y: int, size: tuple[int, int] = (400, 300)) -> Image:
    image = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    cv2.circle(image, (x, y), 4, (255, 255, 255), -1)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 3), dtype=np.uint8)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_points_come_back_to_where_they_are_in_the_picture(tmp_path: Path, batch: int | str) -> None:
    model = RTMPoseOnnx(brightest_file(tmp_path / "k.onnx", batch))
    assert model.fixed_batch == (batch == 1)
    image = spot(230, 140)
    regions = [
        Region.from_box([180, 60, 280, 260]),  # tall
        Region.from_box([100, 100, 380, 200]),  # wide
        Region((200.0, 150.0), (260.0, 260.0), 0.7),  # turned
        Region.from_box([200, 100, 440, 290]),  # past the edge
    ]
    poses = model.keypoints(image, regions)
    assert len(poses) == 4
    for pose, region in zip(poses, regions, strict=True):
        pixel = max(region.size_px) * 1.25 / 192  # of the crop, in the picture's
        assert pose.xy_px.shape == (17, 2)
        np.testing.assert_allclose(pose.xy_px, np.tile([230.0, 140.0], (17, 1)), atol=1.5 * pixel)
    assert model.keypoints(image, []) == []


def test_a_region_with_a_margin_is_looked_at_again_in_a_tight_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = RTMPoseOnnx(brightest_file(tmp_path / "k.onnx"))
    looked: list[Region] = []
    look = model._look
    monkeypatch.setattr(model, "_look", lambda image, regions: looked.extend(regions) or look(image, regions))
    model.keypoints(spot(150, 150), [Region((150.0, 150.0), (120.0, 120.0), 0.3, tight=False)])
    assert [region.tight for region in looked] == [False, True]
    assert looked[1].rotation_rad == 0


def test_the_crop_is_turned_with_the_region() -> None:
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    image[95:105, 140:160] = 255  # to the right of the centre
    turned = Region((100.0, 100.0), (120.0, 160.0), np.pi / 2, tight=False)  # the head is to the right
    picture = crop(image, crop_matrix(turned, (192, 256)), (192, 256))
    y, x = np.argwhere(picture[..., 0] > 128).mean(axis=0)
    assert x == pytest.approx(96, abs=2) and y < 60  # above the centre


def test_peaks_become_points_scores_and_gaps() -> None:
    simcc_x, simcc_y = np.full((1, 3, 384), -1.0), np.full((1, 3, 512), -1.0)
    simcc_x[0, 0, 101], simcc_y[0, 0, 300] = 1.7, 1.2
    simcc_x[0, 1, 0], simcc_y[0, 1, 511] = 0.4, 0.9
    points, peaks = decode_simcc(simcc_x, simcc_y)
    np.testing.assert_allclose(points[0, :2], [[50.5, 150], [0, 255.5]])
    assert np.isnan(points[0, 2]).all()
    np.testing.assert_allclose(peaks[0], [1.2, 0.4, -1])
    np.testing.assert_allclose(score_of(peaks[0]), [1, 0.4, 0])


def test_the_next_region_is_the_box_of_the_sure_points_with_a_margin() -> None:
    xy = np.full((17, 2), np.nan)
    xy[:5] = [[100, 50], [140, 50], [100, 250], [140, 250], [900, 900]]
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.1] + [0.0] * 12)
    box = next_region(xy, score, Region.from_box([0, 0, 1, 1])).box_px
    np.testing.assert_allclose(box, [100 - 12, 50 - 20, 140 + 12, 250 + 20])
    half_sure = next_region(xy, np.where(score > 0.75, score, 0.1), Region.from_box([0, 0, 1, 1])).box_px
    assert half_sure[2] > 900, "with few sure points all count"
    lost = Region((5.0, 6.0), (7.0, 8.0), score=0.4)
    assert next_region(np.full((17, 2), np.nan), np.zeros(17), lost).center_px == (5.0, 6.0)


@needs_photos
def test_the_next_region_is_like_the_annotators_box() -> None:
    import orjson

    rows = orjson.loads((PHOTOS / "person_keypoints_subset.json").read_bytes())["annotations"]
    overlaps = []
    for row in rows:
        points = np.array(row["keypoints"], dtype=float).reshape(-1, 3)
        if row["iscrowd"] or (points[:, 2] > 0).sum() < 15:
            continue
        xy = np.where(points[:, 2:] > 0, points[:, :2], np.nan)
        ours = next_region(xy, (points[:, 2] > 0).astype(float), Region.from_box([0, 0, 1, 1])).box_px
        x, y, width, height = row["bbox"]
        theirs = np.array([x, y, x + width, y + height])
        inner = np.clip(np.minimum(ours[2:], theirs[2:]) - np.maximum(ours[:2], theirs[:2]), 0, None).prod()
        union = (ours[2:] - ours[:2]).prod() + width * height - inner
        overlaps.append(inner / union)
    assert len(overlaps) >= 5 and np.median(overlaps) > 0.85


def test_normalisation_is_imagenets_in_either_order() -> None:
    picture = np.zeros((2, 2, 3), dtype=np.uint8)
    picture[..., 0] = 255
    red = (255 - 123.675) / 58.395
    assert normalise([picture], bgr=False)[0, 0, 0, 0] == pytest.approx(red)
    assert normalise([picture], bgr=True)[0, 2, 0, 0] == pytest.approx(red)


# --- what can go wrong ----------------------------------------------------------------------------------------------


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EstimatorError, match="does not exist"):
        OnnxNetwork(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(EstimatorError, match="cannot be loaded as an ONNX model"):
        OnnxNetwork(tmp_path / "text.onnx")
    one = save_graph(tmp_path / "one.onnx", [helper.make_node("Identity", ["input"], ["y"])], ["y"], [1, 3, 8, 8], {})
    with pytest.raises(EstimatorError, match="no RTMDet"):
        RTMDetOnnx(one)
    with pytest.raises(EstimatorError, match="only SimCC"):
        RTMPoseOnnx(one)


def test_a_skeleton_of_another_size_is_refused(tmp_path: Path) -> None:
    model = RTMPoseOnnx(brightest_file(tmp_path / "k.onnx"), HALPE_26)
    with pytest.raises(EstimatorError, match="gives 17 key points, but its skeleton halpe26 has 26"):
        model.keypoints(spot(50, 50), [Region.from_box([0, 0, 100, 100])])


def test_an_idle_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators.shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    assert "GPU sits idle" in accelerators.idle_gpu_warning("onnxruntime", on_cpu=True)
    assert "torch" in accelerators.idle_gpu_warning("torch", on_cpu=True)
    assert accelerators.idle_gpu_warning("onnxruntime", on_cpu=False) == ""
    monkeypatch.setattr(accelerators.shutil, "which", lambda _name: None)
    assert accelerators.idle_gpu_warning("onnxruntime", on_cpu=True) == ""


def test_an_idle_gpu_is_logged_when_a_network_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accelerators.shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    network = OnnxNetwork(brightest_file(tmp_path / "k.onnx"))
    assert ("onnxruntime-gpu" in caplog.text) == network.device.startswith("CPU")


def test_a_listed_provider_counts_only_when_a_session_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators.shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    real, used = onnxruntime.InferenceSession, listed[1:]

    class Session:
        def __init__(self, model: bytes, providers: list[str]) -> None:
            assert providers == listed
            assert real(model, providers=listed[1:]).get_providers() == listed[1:], "the graph itself is good"

        def get_providers(self) -> list[str]:
            return used

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    for used, warned in ((listed[1:], True), (listed, False)):  # noqa: B007
        accelerators._onnxruntime_uses_cuda.cache_clear()
        assert bool(accelerators.engine_warning("onnx")) == warned
    accelerators._onnxruntime_uses_cuda.cache_clear()
    with pytest.raises(EstimatorError, match="no engine 'tensorrt'"):
        accelerators.engine_warning("tensorrt")


def test_a_size_of_zero_is_no_size(tmp_path: Path) -> None:
    found = end2end_file(tmp_path / "d.onnx", [[40, 20, 120, 300, 0.9]], [0])
    for size in (None, (0, 0)):
        assert RTMDetOnnx(found, size).input_size == (320, 320)
        assert RTMPoseOnnx(any_size_file(tmp_path / "p.onnx"), COCO_17, size).input_size == (192, 256)
    assert RTMDetOnnx(found, (640, 416)).input_size == (640, 416)


def test_models_come_out_of_the_registry_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path))
    brightest_file(tmp_path / "rtmpose-m.onnx")
    end2end_file(tmp_path / "rtmdet-nano.onnx", [[40, 20, 120, 300, 0.9]], [0])
    model, detector = create_keypoint_model("rtmpose-m"), create_detector("rtmdet-nano")
    assert (model.name, detector.name) == ("rtmpose-m", "rtmdet-nano")
    estimator = create_estimator()
    assert estimator.skeleton is COCO_17
    assert (estimator.info.detector, estimator.info.name) == ("rtmdet-nano", "rtmpose-m")
