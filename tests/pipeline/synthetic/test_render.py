"""Camera, room and figure: geometry against hand calculation, and a figure from every skeleton."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.poses import PoseSequence
from pipeline.skeletons import BLAZEPOSE_33, KINECT_13, KINECT_20, UI_PRMD_22, Skeleton
from pipeline.synthetic.anatomy import FigureError, anatomy
from pipeline.synthetic.camera import VIEWS, Camera
from pipeline.synthetic.motions import Actor, act, pose_sequence
from pipeline.synthetic.render import draw, looks, scene


def standing(motion: str = "stand", at_s: float = 0.5) -> PoseSequence:
    return pose_sequence(act(Actor(motion, variation=0.0), np.array([at_s])))


def silhouette(sequence: PoseSequence, camera: Camera, seed: int = 0) -> np.ndarray:
    """Where the person is: pixels that differ from the same room without anybody, the soft shadow left out."""
    filled = draw(scene([sequence], camera, seed, noise=0.0), 0).astype(int)
    empty = draw(scene([], camera, seed, noise=0.0), 0).astype(int)
    darker = (empty + 1) / (filled + 1)
    shadow = np.ptp(darker, axis=2) < 0.06  # a shadow darkens all colours alike
    return (np.abs(filled - empty).max(axis=2) > 25) & ~shadow


def test_the_camera_is_a_pinhole() -> None:
    camera = Camera(yaw_deg=0.0, height_m=1.0, distance_m=4.0, focal_mm=36.0, size=(641, 481))
    assert camera.focal_px == 641
    pixels, depth = camera.project(np.array([[0, 1, 0], [1, 1, 0], [0, 2, 0], [0, 1, 2], [0, 1, 5.0]]))
    assert pixels[:4] == pytest.approx(np.array([[320, 240], [320 + 641 / 4, 240], [320, 240 - 641 / 4], [320, 240]]))
    assert depth[:4] == pytest.approx([4, 4, 4, 2])
    assert np.isnan(pixels[4]).all()  # behind the camera


def test_projection_agrees_with_opencv() -> None:
    camera = Camera(yaw_deg=33.0, height_m=1.6, distance_m=3.7, pitch_deg=14.0)
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3)) + [0, 1, 0]
    flip = np.diag([1.0, -1.0, -1.0])  # OpenCV: y down, z away from the camera
    turn = flip @ camera.axes
    matrix = np.array([[camera.focal_px, 0, 319.5], [0, camera.focal_px, 239.5], [0, 0, 1]])
    expected, _ = cv2.projectPoints(points, cv2.Rodrigues(turn)[0], -turn @ camera.position_m, matrix, None)
    assert camera.project(points)[0] == pytest.approx(expected[:, 0], abs=1e-6)


def test_the_side_view_shows_the_left_side() -> None:
    sequence, camera = standing(), Camera(VIEWS["side"])
    assert sequence.xyz_m is not None and sequence.root_m is not None
    world = sequence.xyz_m[0] + sequence.root_m[0]
    _, depth = camera.project(world)
    assert depth[BLAZEPOSE_33.index("left_shoulder")] < depth[BLAZEPOSE_33.index("right_shoulder")]
    pixels, _ = camera.project(world)
    assert pixels[BLAZEPOSE_33.index("nose"), 0] < pixels[BLAZEPOSE_33.index("left_ear"), 0]  # faces left


@pytest.mark.parametrize("view", ["front", "oblique", "side", "back"])
@pytest.mark.parametrize("motion", ["stand", "squat"])
def test_flesh_is_where_the_joints_are(view: str, motion: str) -> None:
    sequence, camera = standing(motion, 1.9), Camera(VIEWS[view])
    mask = silhouette(sequence, camera)
    assert sequence.xyz_m is not None and sequence.root_m is not None
    pixels, _ = camera.project(sequence.xyz_m[0] + sequence.root_m[0])
    names = [f"{side}_{name}" for side in ("left", "right") for name in
             ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "ear")]  # fmt: skip
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))).astype(bool)
    hit = [near[tuple(np.round(pixels[BLAZEPOSE_33.index(name)]).astype(int)[::-1])] for name in names]
    assert np.mean(hit) > 0.9
    rows = np.flatnonzero(mask.any(axis=1))
    low, high = pixels[:, 1].max(), pixels[:, 1].min()
    height = rows[-1] - rows[0]
    assert abs(rows[-1] - low) < 0.05 * height
    assert 0 < high - rows[0] < 0.12 * height  # hair above the eyes


@pytest.mark.parametrize("skeleton", [KINECT_13, KINECT_20, UI_PRMD_22])
def test_every_skeleton_becomes_nearly_the_same_figure(skeleton: Skeleton) -> None:
    full = standing("squat", 1.9)
    camera = Camera(VIEWS["oblique"])
    sparse = full.to(skeleton)
    one, other = silhouette(full, camera), silhouette(sparse, camera)
    overlap = (one & other).sum() / (one | other).sum()
    assert overlap > 0.75
    assert anatomy(sparse).height_m == pytest.approx(1.75, rel=0.05)


def test_without_root_the_lowest_point_stands_on_the_floor() -> None:
    sequence = replace(standing("squat", 1.9), root_m=None)
    body = anatomy(sequence)
    lowest = min(float(points[0, 1]) for points in body.points_m.values())
    assert lowest == pytest.approx(0.012 * body.height_m, abs=0.005)


def test_missing_joints_leave_limbs_out_and_nothing_else() -> None:
    full = standing()
    xyz = np.array(full.xyz_m)
    arm = [BLAZEPOSE_33.index(f"left_{name}") for name in ("elbow", "wrist", "index", "pinky", "thumb")]
    xyz[:, arm] = np.nan
    camera = Camera()
    whole, less = silhouette(full, camera), silhouette(replace(full, xyz_m=xyz), camera)
    assert 0.02 < 1 - less.sum() / whole.sum() < 0.2
    nobody = replace(full, xyz_m=np.full_like(xyz, np.nan))
    assert not silhouette(nobody, camera).any()


def test_a_sequence_without_space_is_refused() -> None:
    with pytest.raises(FigureError, match="xyz_m"):
        scene([PoseSequence.empty(time_s=np.zeros(1))], Camera())


def test_the_front_person_hides_the_one_behind() -> None:
    def at(z: float) -> PoseSequence:
        return pose_sequence(act(Actor("stand", place_m=(0.0, z), variation=0.0), np.zeros(1)))

    red, green = (replace(looks(0), shirt=colour) for colour in ((220, 20, 20), (20, 220, 20)))
    camera = Camera(height_m=1.2)
    for order in ((0, 1), (1, 0)):
        people, dressed = [at(0.5), at(-0.5)], [red, green]
        room = scene([people[k] for k in order], camera, 0, [dressed[k] for k in order], noise=0.0)
        x, y = np.round(camera.project(np.array([0.0, 1.2, 0.5]))[0]).astype(int)
        pixel = draw(room, 0)[y, x].astype(int)
        assert pixel[0] > pixel[1] + 40


def test_pictures_are_repeatable_and_rooms_differ() -> None:
    sequence = standing()
    first, again, other = (draw(scene([sequence], Camera(), seed), 0) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


@pytest.mark.parametrize("size", [(16, 16), (640, 480), (360, 640), (1281, 721)])
def test_any_picture_size(size: tuple[int, int]) -> None:
    assert draw(scene([standing()], Camera(size=size)), 0).shape == (size[1], size[0], 3)


def test_impossible_cameras_are_refused() -> None:
    for settings in ({"size": (4, 4)}, {"distance_m": 0.0}, {"pitch_deg": 90.0}, {"focal_mm": 0.0}):
        with pytest.raises(ValueError, match="got"):
            Camera(**settings)  # type: ignore[arg-type]
