"""From a description to a clip: file, ground truth, disturbances, and a pose model that believes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.media import read_frames
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.actor import ActorSpec, clip_frames, clip_truth, read_truth, render_clip, truth_path
from pipeline.synthetic.camera import Camera
from pipeline.synthetic.disturbances import DISTURBANCES, DisturbanceError, frame_times
from pipeline.synthetic.motions import Actor
from pipeline.synthetic.timeline import MotionError, Tempo

SMALL = (160, 120)
QUICK = Tempo(0.4, 0.1, 0.4, 0.1)


def test_clip_and_truth_belong_together(tmp_path: Path) -> None:
    spec = ActorSpec.one("squat", repetitions=1, tempo=QUICK, faults={"knees_in": 0.6}, size=SMALL, view="oblique")
    shares: list[float] = []
    truth = render_clip(spec, tmp_path / "clip.mp4", shares.append)
    frames = list(read_frames(tmp_path / "clip.mp4"))
    assert [frame.time_s for frame in frames] == pytest.approx(truth.recording.time_s, abs=1e-4)
    assert frames[0].image.shape == (120, 160, 3)
    assert shares[-1] == 1.0
    again = read_truth(truth_path(tmp_path / "clip.mp4"))
    assert again.spec == spec
    assert again.people[0].repetitions == truth.people[0].repetitions
    assert again.people[0].repetitions[0].faults == {"knees_in": 0.6}
    one, other = truth.recording.people[0], again.recording.people[0]
    for name in ("xy_px", "xyz_m", "root_m", "score"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
    for name, values in truth.people[0].angles_deg.items():
        assert np.array_equal(values, again.people[0].angles_deg[name], equal_nan=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "clip.truth.json"]


def test_the_same_description_gives_the_same_pictures() -> None:
    spec = ActorSpec.one(
        "jumping_jack", repetitions=1, size=SMALL, disturbances={"noise": 0.5, "dark": 0.3, "shake": 1}
    )
    first, second = ([picture for picture, _ in clip_frames(spec)] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert len(first) == len(clip_truth(spec).recording)


def test_truth_is_in_the_cameras_axes() -> None:
    for view, facing in (("front", (0, 0, 1)), ("side", (-1, 0, 0)), ("right", (1, 0, 0)), ("back", (0, 0, -1))):
        person = clip_truth(ActorSpec.one("stand", view=view, variation=0.0)).recording.people[0]
        assert person.xyz_m is not None and person.root_m is not None
        toes = person.xyz_m[0, BLAZEPOSE_33.index("left_foot_index")] - person.xyz_m[0, BLAZEPOSE_33.index("left_heel")]
        assert np.dot(toes / np.linalg.norm(toes), facing) > 0.9
        assert person.root_m[0, 1] == pytest.approx(0.53 * 1.75, abs=0.05)
        up = person["left_hip"][0, 1] - person["left_shoulder"][0, 1]
        assert up > 0  # pixels count downwards


def test_joints_outside_the_picture_have_score_zero() -> None:
    truth = clip_truth(ActorSpec.one("stand", place_m=(1.7, 0.0), camera=Camera(size=SMALL)))
    person, right = truth.recording.people[0], SMALL[0] - 1
    outside = (person.xy_px[..., 0] > right) | (person.xy_px[..., 0] < 0)
    assert 0.1 < outside.mean() < 0.9
    assert np.array_equal(person.score == 0, outside)
    assert truth.people[0].in_view == pytest.approx((~outside).mean(axis=1))


def test_two_people_cross() -> None:
    walk = {"repetitions": 4, "variation": 0.0}
    there = Actor("walk", place_m=(0, 0.5), facing_deg=90.0, **walk)  # type: ignore[arg-type]
    back = Actor("walk", place_m=(0, -0.5), facing_deg=-90.0, seed=1, **walk)  # type: ignore[arg-type]
    truth = clip_truth(ActorSpec((there, back)))
    gap = truth.recording.person(0)["nose"][:, 0] - truth.recording.person(1)["nose"][:, 0]
    assert gap[0] < -100 and gap[-1] > 100
    assert [person.motion for person in truth.people] == ["walk", "walk"]


def test_an_empty_room_and_a_single_frame_are_ordinary(tmp_path: Path) -> None:
    truth = render_clip(ActorSpec(actors=(), duration_s=0.2, size=SMALL), tmp_path / "empty.mp4")
    assert truth.people == ()
    assert read_truth(tmp_path / "empty.truth.json").recording.people == ()
    assert len(list(clip_frames(ActorSpec.one("squat", duration_s=0.0, size=SMALL)))) == 1


@pytest.mark.parametrize("name", DISTURBANCES)
def test_every_disturbance_does_something_and_more_with_strength(name: str) -> None:
    def clip(strength: float) -> np.ndarray:
        spec = ActorSpec.one("jumping_jack", lead_in_s=0.0, duration_s=0.3, size=SMALL, disturbances={name: strength})
        return np.stack([picture for picture, _ in clip_frames(spec)]).astype(float)

    clean, half, full = clip(0.0), clip(0.5), clip(1.0)
    if name == "low_fps":
        assert len(clean) > len(half) > len(full) == 4
    else:
        change = [np.abs(other - clean).mean() for other in (half, full)]
        assert change[1] > change[0] > 0.05


def test_low_fps_drops_frames_and_keeps_their_times() -> None:
    times = frame_times(2.0, 30.0, 1.0)
    assert np.diff(times) == pytest.approx(0.1)
    whole = frame_times(2.0, 25.0, 0.6)
    assert set(np.round(whole * 25, 6) % 1) == {0.0}
    assert 1 / np.diff(whole).mean() == pytest.approx(16, abs=0.5)


def test_shake_moves_the_truth_with_the_picture() -> None:
    still, shaken = (
        clip_truth(ActorSpec.one("stand", variation=0.0, disturbances={"shake": amount})).recording.people[0]
        for amount in (0.0, 1.0)
    )
    moved = np.linalg.norm(shaken.xy_px - still.xy_px, axis=2).mean(axis=1)
    assert 2 < np.ptp(moved) < 40
    assert np.array_equal(still.xyz_m, shaken.xyz_m)  # type: ignore[arg-type]


def test_the_occluder_hides_joints() -> None:
    person = clip_truth(ActorSpec.one("stand", disturbances={"occluder": 1.0})).recording.people[0]
    assert 0.1 < (person.score == 0).mean() < 0.9
    assert np.isfinite(person.xy_px).all()


def test_impossible_wishes_are_refused_in_words() -> None:
    with pytest.raises(MotionError, match="unknown settings: colour"):
        ActorSpec.one("squat", colour="red")
    with pytest.raises(MotionError, match="no view 'below'"):
        ActorSpec.one("squat", view="below")
    with pytest.raises(MotionError, match="fps"):
        ActorSpec.one("squat", fps=0)
    with pytest.raises(DisturbanceError, match="no disturbance 'rain'"):
        ActorSpec.one("squat", disturbances={"rain": 1.0})
    with pytest.raises(DisturbanceError, match="between 0 and 1"):
        ActorSpec.one("squat", disturbances={"dark": 3.0})


@pytest.mark.parametrize(("motion", "view"), [("squat", "front"), ("lunge", "side"), ("jumping_jack", "oblique")])
def test_a_pose_model_finds_the_figure_where_it_is(motion: str, view: str) -> None:
    benchmark = pytest.importorskip("benchmarks.actor")
    found, error = benchmark.measure(motion, view, 3, benchmark.detect_mediapipe)
    assert found.mean() >= 0.95
    assert np.nanmedian(error) < 0.04  # of body height
