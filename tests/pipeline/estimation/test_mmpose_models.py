"""The PyTorch engine, export, and both engines held against each other with the same weights."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline import settings
from pipeline.cli import main
from pipeline.estimation import mmcv_ops
from pipeline.estimation.base import EstimatorError, Image, Region
from pipeline.estimation.export import (
    export_network,
    picture_inputs,
    quantise,
    random_crops,
    weights_from_onnx,
)
from pipeline.estimation.mmpose_models import (
    MMDetDetector,
    MMPoseKeypoints,
    load_checkpoint,
    read_config,
    skeleton_of,
)
from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx, crop, crop_matrix, letterbox, normalise
from pipeline.estimation.own_models import config_size
from pipeline.estimation.registry import (
    config_path,
    create_detector,
    create_estimator,
    create_keypoint_model,
    entry,
)
from pipeline.media import write_image
from pipeline.skeletons import COCO_17, COCO_WHOLEBODY_133, HALPE_26
from pipeline.synthetic.actor import ActorSpec, clip_frames

PHOTOS = settings.data_dir() / "media/photos_coco_val2017"
RAW_HEADS = settings.data_dir() / "models/rtmdet_nano_raw_heads.onnx"
MMPOSE_CONFIGS = config_path(entry("rtmpose-t")).parents[3]
MMDET_CONFIGS = config_path(entry("rtmdet-tiny")).parents[1]
needs_data = pytest.mark.skipif(not (PHOTOS.is_dir() and RAW_HEADS.exists()), reason="the private data is not here")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def quick_random_weights() -> Iterator[None]:
    """Random weights make denormal numbers, which are slow; flushing them works in one thread only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINOSCOPE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture(scope="module")
def pose() -> MMPoseKeypoints:
    """RTMPose-t with seeded random weights."""
    torch.manual_seed(0)
    return MMPoseKeypoints(config_path(entry("rtmpose-t")))


@pytest.fixture(scope="module")
def pose_file(pose: MMPoseKeypoints, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "rtmpose-t.onnx"
    report = export_network(pose.model, "keypoints", (192, 256), path)
    assert report.largest_difference < 1e-4 * report.largest_output
    return path


@pytest.fixture(scope="module")
def pose_onnx(pose_file: Path) -> RTMPoseOnnx:
    """The same weights in ONNX Runtime."""
    return RTMPoseOnnx(pose_file, COCO_17)


@pytest.fixture(scope="module")
def detector() -> MMDetDetector:
    """MMDetection's RTMDet-nano, with the real weights where they are here."""
    torch.manual_seed(0)
    detector = MMDetDetector(config_path(entry("rtmdet-nano")))
    if RAW_HEADS.exists():
        assert weights_from_onnx(detector.model, RAW_HEADS, (320, 320)) == 123
    return detector


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four pictures of a rendered person, one in a folder of its own, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    (folder / "notes.txt").write_text("four pictures")
    frames = clip_frames(ActorSpec.one("squat", seed=500_009, repetitions=1, fps=4, size=(320, 320)))
    for number, (image, _) in zip(range(4), frames, strict=False):
        write_image(folder / ("more" if number == 0 else "") / f"{number}.png", image)
    return folder


def pictures(count: int) -> list[Image]:
    """Photographs where they are here, else smooth noise."""
    paths = sorted(PHOTOS.rglob("*.jpg"))[:count]
    if paths:
        return [np.asarray(cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB), dtype=np.uint8) for p in paths]
    random = np.random.default_rng(5)
    noise = random.integers(0, 256, (count, 30, 40, 3), dtype=np.uint8)
    return [np.asarray(cv2.resize(n, (640, 480), interpolation=cv2.INTER_CUBIC), dtype=np.uint8) for n in noise]


def random_regions(image: Image, count: int, random: np.random.Generator) -> list[Region]:
    """Boxes anywhere, of any shape, some past the edges."""
    size = np.array([image.shape[1], image.shape[0]])
    centers, sides = random.uniform(0, 1, (count, 2)) * size, random.uniform(0.05, 0.9, (count, 2)) * size
    return [Region.from_box(np.concatenate([c - s / 2, c + s / 2])) for c, s in zip(centers, sides, strict=True)]


# --- both engines ---------------------------------------------------------------------------------------------------


def test_our_crops_are_mmposes_crops(pose: MMPoseKeypoints) -> None:
    random = np.random.default_rng(1)
    for image in pictures(4):
        regions = random_regions(image, 3, random)
        theirs = pose.model.data_preprocessor(pose.prepare_batch(image, regions), False)["inputs"].numpy()
        crops = [crop(image, crop_matrix(region, (192, 256)), (192, 256)) for region in regions]
        np.testing.assert_allclose(normalise(crops, bgr=False), theirs, atol=1e-3)


def test_both_engines_see_the_same_points(pose: MMPoseKeypoints, pose_onnx: RTMPoseOnnx) -> None:
    random = np.random.default_rng(2)
    distances, relative = [], []
    for image in pictures(5):
        regions = random_regions(image, 3, random)
        for a, b in zip(pose.keypoints(image, regions), pose_onnx.keypoints(image, regions), strict=True):
            assert a.raw_score is not None and b.raw_score is not None
            distances.append(np.linalg.norm(a.xy_px - b.xy_px, axis=1))
            relative.append(np.abs(a.raw_score - b.raw_score) / np.abs(a.raw_score))
            assert a.presence == pytest.approx(b.presence, abs=1e-3)
    assert (np.concatenate(distances) <= 0.5).mean() >= 0.999
    assert np.concatenate(relative).max() <= 1e-3


def test_our_letterbox_is_mmdetections(detector: MMDetDetector) -> None:
    for image in pictures(2):
        data = detector._pipeline({"img": np.ascontiguousarray(image[..., ::-1]), "img_id": 0})
        batch = {"inputs": [data["inputs"]], "data_samples": [data["data_samples"]]}
        theirs = detector.model.data_preprocessor(batch, False)["inputs"].numpy()
        np.testing.assert_allclose(normalise([letterbox(image, (320, 320))[0]], bgr=True), theirs, atol=1e-3)


@needs_data
def test_the_real_detector_finds_the_same_people_in_both_engines(detector: MMDetDetector) -> None:
    onnx = RTMDetOnnx(RAW_HEADS)
    people = 0
    for image in pictures(5):
        first, second = ([r for r in model.detect(image) if r.score >= 0.3] for model in (onnx, detector))
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_allclose(a.box_px, b.box_px, atol=0.05)
            assert a.score == pytest.approx(b.score, abs=1e-4)
        people += len(first)
    assert people >= 5


def test_an_exported_detector_answers_like_pytorch(detector: MMDetDetector, tmp_path: Path) -> None:
    report = export_network(detector.model, "detector", (320, 320), tmp_path / "d.onnx", crops=2)
    assert report.largest_difference < 1e-3 * report.largest_output
    exported = RTMDetOnnx(tmp_path / "d.onnx")
    if not RAW_HEADS.exists():
        return  # random weights find a hundred boxes of nearly one score: their order is chance
    image = pictures(1)[0]
    first, second = ([r for r in model.detect(image) if r.score >= 0.3] for model in (exported, detector))
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.box_px, b.box_px, atol=0.05)


def test_another_architecture_is_not_filled_in(detector: MMDetDetector, pose_file: Path) -> None:
    with pytest.raises(EstimatorError, match="another architecture"):
        weights_from_onnx(detector.model, pose_file, (320, 320))


# --- through the registry -------------------------------------------------------------------------------------------


def official_style_checkpoint(model: Any, path: Path) -> Path:
    """A checkpoint as MMEngine's runner writes it: weights, and logs as histories, arrays and NumPy scalars."""
    from mmengine.logging import HistoryBuffer

    history = HistoryBuffer([0.5, 0.25], [1, 1])
    history.update(0.125)
    meta = {
        "epoch": 420, "iter": np.int64(1000), "cfg": "model = dict()", "time": "20230504", "seed": np.uint32(1),
        "dataset_meta": model.dataset_meta | {"sigmas": np.array([0.026, 0.025]), "flip_indices": [0, 2, 1]},
        "best": np.float64(0.659), "half": np.float16(1), "flag": np.bool_(True),
    }  # fmt: skip
    torch.save(
        {
            "meta": meta,
            "state_dict": model.state_dict(),
            "message_hub": {"log_scalars": {"train/loss": history}, "resumed_keys": {"train/loss": True}},
        },
        path,
    )
    return path


def test_official_checkpoints_load_without_running_code(pose: MMPoseKeypoints, tmp_path: Path) -> None:
    path = official_style_checkpoint(pose.model, tmp_path / "official.pth")
    with pytest.raises(pickle.UnpicklingError):  # torch alone refuses it
        torch.load(path, weights_only=True)
    checkpoint = load_checkpoint(path)
    assert checkpoint["message_hub"]["log_scalars"]["train/loss"].current() == 0.125
    assert checkpoint["meta"]["best"] == 0.659
    loaded = MMPoseKeypoints(config_path(entry("rtmpose-t")), path)
    for key, value in pose.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], value), key
    assert list(loaded.weights_sha256) == ["official.pth"]


class Intruder:
    """What must not run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


class Snoop:
    """getattr is in official checkpoints, but only for the statistics of a log history."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (getattr, (np.ndarray, "tofile"))


def test_bad_checkpoints_are_refused(pose: MMPoseKeypoints, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.pth"
    with pytest.raises(EstimatorError, match="does not exist"):
        load_checkpoint(bad)
    torch.save({"state_dict": pose.model.state_dict(), "meta": Intruder()}, bad)
    with pytest.raises(EstimatorError, match="holds more than weights"):
        load_checkpoint(bad)
    assert "ran" not in capsys.readouterr().out
    torch.save({"state_dict": pose.model.state_dict(), "meta": Snoop()}, bad)
    with pytest.raises(EstimatorError, match="holds more than weights"):
        load_checkpoint(bad)
    bad.write_bytes(b"\x80\x02 cut off")
    with pytest.raises(EstimatorError, match="cannot be loaded"):
        load_checkpoint(bad)
    torch.save([1, 2], bad)
    with pytest.raises(EstimatorError, match="holds a list"):
        load_checkpoint(bad)
    torch.save({"state_dict": {"head.weight": torch.zeros(3)}}, bad)
    with pytest.raises(EstimatorError, match=r"belongs to another config: .* weights are missing"):
        MMPoseKeypoints(config_path(entry("rtmpose-t")), bad)
    torch.save(pose.model.state_dict(), bad)
    with pytest.raises(EstimatorError, match="weights have other sizes"):
        MMPoseKeypoints(config_path(entry("rtmpose-s")), bad)


def test_a_users_model_goes_through_both_engines_by_name(
    pose: MMPoseKeypoints, rendered: Path, tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_path(entry("rtmpose-t"))
    checkpoint = official_style_checkpoint(pose.model, tmp_path / "mine.pth")
    add = ["models", "add", "mine", "--kind", "keypoints", "--config", str(config), "--checkpoint", str(checkpoint)]
    assert main(add) == 0
    assert (entry("mine").input_size, entry("mine").skeleton) == ((192, 256), "coco17")
    with pytest.raises(EstimatorError, match="models export mine"):
        create_keypoint_model("mine")
    capsys.readouterr()
    assert main(["models", "export", "mine", "--int8", "static", "--images", str(rendered)]) == 0
    made, eight_bits = capsys.readouterr().out.splitlines()
    assert made.startswith(f"{models / 'mine.onnx'}: largest difference from PyTorch")
    told = re.search(r"int8.onnx: static, .* on 2 inputs from .*; key points move by ([\d.]+) px \(median", eight_bits)
    crops = picture_inputs("mine", rendered)
    assert crops.shape == (4, 3, 256, 192)  # a person in each picture
    runs = [create_keypoint_model(name).simcc(crops[2:])[0] for name in ("mine", "mine-int8")]
    assert told is not None
    assert float(told[1]) == pytest.approx(np.nanmedian(np.linalg.norm(runs[0] - runs[1], axis=2)), abs=0.01)
    image = pictures(1)[0]
    regions = random_regions(image, 2, np.random.default_rng(3))
    first = create_keypoint_model("mine", engine="mmpose").keypoints(image, regions)
    second = create_keypoint_model("mine", engine="onnx").keypoints(image, regions)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.xy_px, b.xy_px, atol=0.5)
    mixed = create_estimator("mine", "blazepose", engine="mmpose").info
    assert mixed.device == "CPU (LiteRT, XNNPACK), CPU (PyTorch)" or torch.cuda.is_available()

    quantised = quantise("mine", random_crops((192, 256), 4))
    assert (quantised.method, quantised.inputs) == ("dynamic", 2)
    assert quantised.size_ratio < 0.5 and np.isfinite(quantised.moved_px).all()
    assert 0 < quantised.largest_difference < 0.5 and np.isnan(quantised.found_again)
    assert create_keypoint_model("mine-int8").keypoints(image, []) == []


@needs_data
def test_whole_pictures_measure_a_detector(rendered: Path, models: Path) -> None:
    models.mkdir()
    (models / "rtmdet-nano.onnx").symlink_to(RAW_HEADS)
    inputs = picture_inputs("rtmdet-nano", rendered)
    assert inputs.shape == (4, 3, 320, 320)
    report = quantise("rtmdet-nano", inputs)
    assert report.inputs == 2 and np.isnan(report.moved_px).all()
    assert report.found_again >= 0.5
    assert create_detector("rtmdet-nano-int8").detect(pictures(1)[0])


def test_pictures_without_people_calibrate_nothing(pose_file: Path, tmp_path: Path, models: Path) -> None:
    models.mkdir()
    (models / "rtmpose-t.onnx").symlink_to(pose_file)
    write_image(tmp_path / "empty.png", np.full((120, 160, 3), 90, dtype=np.uint8))
    with pytest.raises(EstimatorError, match=r"0 people or pictures in .* are too few"):
        picture_inputs("rtmpose-t", tmp_path)
    with pytest.raises(EstimatorError, match="give two or more"):
        quantise("rtmpose-t", random_crops((192, 256), 1))


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmw-l-384", "rtmdet-nano", "rtmdet-s"])
def test_a_configs_test_pipeline_tells_the_input_size(name: str) -> None:
    assert config_size(read_config(config_path(entry(name)))) == entry(name).input_size


def test_a_config_that_tells_no_size_has_none() -> None:
    assert config_size({}) == (0, 0)
    assert config_size({"test_dataloader": {"dataset": {"pipeline": [{"type": "Resize", "scale": 0.5}]}}}) == (0, 0)


def test_a_damaged_download_is_not_used(models: Path) -> None:
    path = entry("rtmdet-nano").checkpoint_path
    assert path is not None
    models.mkdir()
    path.write_bytes(b"damaged")
    with pytest.raises(EstimatorError, match="does not begin with 05d8511e"):
        create_detector("rtmdet-nano", engine="mmpose")


# --- any config -----------------------------------------------------------------------------------------------------


def test_a_heatmap_model_runs_too() -> None:
    config = MMPOSE_CONFIGS / "body_2d_keypoint/topdown_heatmap/coco/td-hm_mobilenetv2_8xb64-210e_coco-256x192.py"
    torch.manual_seed(0)
    model = MMPoseKeypoints(config)
    image = pictures(1)[0]
    poses = model.keypoints(image, random_regions(image, 2, np.random.default_rng(0)))
    assert len(poses) == 2 and poses[0].xy_px.shape == (17, 2)
    assert ((poses[0].score >= 0) & (poses[0].score <= 1)).all()
    assert model.keypoints(image, []) == []
    with pytest.raises(EstimatorError, match="Only SimCC models"):
        export_network(model.model, "keypoints", (192, 256), Path("unused.onnx"))


def test_another_detector_runs_too() -> None:
    config = MMDET_CONFIGS / "yolox/yolox_tiny_8xb8-300e_coco.py"
    torch.manual_seed(0)
    detector = MMDetDetector(config)
    assert isinstance(detector.detect(np.zeros((60, 80, 3), dtype=np.uint8)), list)


def test_configs_that_cannot_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EstimatorError, match="no top-down model"):
        MMPoseKeypoints(MMPOSE_CONFIGS / "body_2d_keypoint/rtmo/body7/rtmo-t_8xb32-600e_body7-416x416.py")
    (tmp_path / "broken.py").write_text("model = dict(")
    with pytest.raises(EstimatorError, match="not a config"):
        MMPoseKeypoints(tmp_path / "broken.py")


@pytest.mark.parametrize(
    ("meta", "skeleton"),
    [("coco", COCO_17), ("halpe26", HALPE_26), ("coco_wholebody", COCO_WHOLEBODY_133)],
)
def test_the_skeletons_are_mmposes(meta: str, skeleton: Any) -> None:
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    parsed = parse_pose_metainfo({"from_file": f"configs/_base_/datasets/{meta}.py"})
    assert skeleton_of(parsed) is skeleton
    assert list(skeleton.mirror_order) == list(parsed["flip_indices"])


def test_an_unknown_skeleton_is_made_from_its_names() -> None:
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    hand = skeleton_of(parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco_wholebody_hand.py"}))
    assert hand.name == "coco_wholebody_hand" and len(hand) == 21 and len(hand.bones) == 20


# --- mmcv without compiled operations -------------------------------------------------------------------------------


def test_the_stand_in_serves_nms_and_names_what_it_lacks() -> None:
    if mmcv_ops.prepare() == "compiled":
        pytest.skip("mmcv was compiled: its own operations are used")
    import mmcv.ops

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]])
    kept, order = mmcv.ops.nms(boxes, torch.tensor([0.8, 0.9, 0.5]), 0.5)
    assert order.tolist() == [1, 2]
    np.testing.assert_allclose(kept[:, 4], [0.9, 0.5])
    with pytest.raises(EstimatorError, match="compiled operation 'softnms'"):
        mmcv.ops.soft_nms(boxes, torch.tensor([0.8, 0.9, 0.5]))


def test_an_offset_counts_the_last_pixel() -> None:
    # 10 x 10 pixels and 10 x 5 of them: IoU exactly 0.5 with the offset, 36/81 without
    boxes, scores = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 4]]), torch.tensor([0.9, 0.8])
    assert mmcv_ops.nms(boxes, scores, 0.47, 1).tolist() == [0]
    assert mmcv_ops.nms(boxes, scores, 0.47, 0).tolist() == [0, 1]
