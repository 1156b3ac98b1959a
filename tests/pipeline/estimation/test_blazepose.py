"""Our run of MediaPipe's networks against MediaPipe's own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.estimation import blazepose
from pipeline.estimation.base import EstimatorError, Image, Region
from pipeline.estimation.blazepose import BlazePoseDetector, BlazePoseLandmarks, weights_path
from pipeline.skeletons import BLAZEPOSE_33


@pytest.fixture(scope="module")
def mediapipe_landmarker() -> Any:
    """MediaPipe's Tasks API on a bundle made in memory of the same two weight files."""
    from mediapipe.tasks.python import BaseOptions, vision
    from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter

    def with_metadata(name: str, mean: float, std: float) -> bytes:
        writer = MetadataWriter.create(bytearray(weights_path(name).read_bytes()))
        writer.add_image_input([mean], [std])
        return bytes(writer.populate()[0])

    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("pose_detector.tflite", with_metadata("pose_detection", 127.5, 127.5))
        archive.writestr("pose_landmarks_detector.tflite", with_metadata("pose_landmark_full", 0.0, 255.0))
    options = vision.PoseLandmarkerOptions(base_options=BaseOptions(model_asset_buffer=bundle.getvalue()), num_poses=10)
    with vision.PoseLandmarker.create_from_options(options) as landmarker:
        yield landmarker


def ours(image: Image) -> list[Any]:
    detector, landmarks = BlazePoseDetector(min_score=0.5), BlazePoseLandmarks()  # MediaPipe's default
    return [pose for pose in landmarks.keypoints(image, detector.detect(image)) if pose.presence >= 0.5]


@pytest.mark.parametrize("name", ["000000252219", "000000397133", "000000552775", "000000437331", "000000087038"])
def test_photographs_give_what_mediapipe_gives(mediapipe_landmarker: Any, media_dir: Path, name: str) -> None:
    import mediapipe

    path = media_dir / "photos_coco_val2017" / "images" / f"{name}.jpg"
    if not path.is_file():
        pytest.skip(f"{name}.jpg is not among the private photographs")
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    theirs = mediapipe_landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
    poses = ours(image)
    assert len(poses) == len(theirs.pose_landmarks)
    height, width = image.shape[:2]
    for points, world in zip(theirs.pose_landmarks, theirs.pose_world_landmarks, strict=True):
        xy_px = np.array([[p.x * width, p.y * height] for p in points])
        pose = min(poses, key=lambda pose: float(np.abs(pose.xy_px - xy_px).mean()))
        assert np.abs(pose.xy_px - xy_px).mean() < 0.5
        np.testing.assert_allclose(pose.score, [p.visibility for p in points], atol=0.01)
        # MediaPipe's world axes: y down, z away from the camera.
        np.testing.assert_allclose(pose.xyz_m, [[p.x, -p.y, -p.z] for p in world], atol=0.01)


def test_an_empty_picture_holds_nobody() -> None:
    image = np.full((120, 160, 3), 128, dtype=np.uint8)
    assert ours(image) == []
    assert BlazePoseLandmarks().keypoints(image, []) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (4000, 3, 3), (3, 4000, 3)])
def test_odd_pictures_are_ordinary(shape: tuple[int, int, int]) -> None:
    assert ours(np.zeros(shape, dtype=np.uint8)) == []


def test_a_region_outside_the_picture_has_a_pose_without_presence() -> None:
    image = np.zeros((100, 100, 3), dtype=np.uint8)
    (pose,) = BlazePoseLandmarks().keypoints(image, [Region((500.0, 500.0), (50.0, 50.0))])
    assert pose.presence < 0.5
    assert pose.xy_px.shape == (len(BLAZEPOSE_33), 2)


def test_a_crop_and_its_matrix_agree() -> None:
    """What lies at a pixel of the crop lies at the matrix's pixel of the picture, turned and scaled regions too."""
    image = np.zeros((200, 300, 3), dtype=np.uint8)
    cv2.circle(image, (150, 80), 6, (255, 255, 255), -1)
    region = Region((140.0, 90.0), (120.0, 120.0), rotation_rad=0.7)
    crop, matrix = blazepose._crop(image, region, 256, cv2.BORDER_CONSTANT)
    rows, columns = np.nonzero(crop[:, :, 0] > 128)
    center = np.array([columns.mean(), rows.mean()]) @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(center, [150, 80], atol=0.5)


def test_missing_weights_are_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    blazepose.weights_path.cache_clear()
    with pytest.raises(EstimatorError, match=r"pip install mediapipe==0\.10\.21"):
        weights_path("pose_detection")
    blazepose.weights_path.cache_clear()
