"""Following people: ids, occlusion, ghosts, and the same answer live and from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from pipeline.estimation.base import Image, PersonPose, Region
from pipeline.estimation.topdown import (
    WORKING_POINTS,
    FollowParameters,
    TopDownEstimator,
    mirrored_region,
    tiles,
)
from pipeline.estimation.tracking import overlap, similarity
from pipeline.media import Frame
from pipeline.skeletons import COCO_17, Skeleton

SHAPE = np.array(  # a standing person in a 1 x 2 box around (0, 0)
    [[0, -0.9], [0.05, -0.95], [-0.05, -0.95], [0.1, -0.92], [-0.1, -0.92], [0.25, -0.7], [-0.25, -0.7]]
    + [[0.35, -0.4], [-0.35, -0.4], [0.35, -0.1], [-0.35, -0.1], [0.15, 0.0], [-0.15, 0.0]]
    + [[0.15, 0.5], [-0.15, 0.5], [0.15, 1.0], [-0.15, 1.0]]
)


@dataclass
class World:
    """People as coloured boxes in a picture: who is where at which time, and who hides whom."""

    size: tuple[int, int] = (400, 200)
    people: dict[str, tuple[float, tuple[int, int, int]]] = field(default_factory=dict)

    def picture(self) -> Image:
        image = np.full((self.size[1], self.size[0], 3), 90, dtype=np.uint8)
        for x, color in self.people.values():
            left, right = max(0, int(x - 20)), max(0, int(x + 20))
            image[60:140, left:right] = color
        return image


@dataclass
class SeesColours:
    """A detector and key-point model that see exactly the coloured boxes that are in the picture."""

    name: str = "colours"
    device: str = "CPU"
    versions: dict[str, str] = field(default_factory=dict)
    weights_sha256: dict[str, str] = field(default_factory=dict)
    skeleton: Skeleton = COCO_17
    detections: int = 0
    looks: int = 0

    def detect(self, image: Image) -> list[Region]:
        self.detections += 1
        row = image[image.shape[0] // 2].astype(int)
        edges = np.flatnonzero(np.abs(np.diff(row, axis=0)).any(axis=1)) + 1
        parts = np.split(np.arange(len(row)), edges)
        return [
            Region.from_box((part[0], 60.0, part[-1] + 1.0, 140.0), 0.9)
            for part in parts
            if part.size >= 25 and (row[part[0]] != 90).any()
        ]

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        self.looks += len(regions)
        poses = []
        for region in regions:
            x = int(np.clip(round(region.center_px[0]), 0, image.shape[1] - 1))
            row = image[image.shape[0] // 2]
            near = [  # whoever stands in the middle of the region
                column
                for column in range(max(0, x - 30), min(image.shape[1], x + 31))
                if (row[x] != 90).any() and (row[column] == row[x]).all()
            ]
            center = float(np.mean(near)) + 0.5 if near else region.center_px[0]
            xy_px = SHAPE * (20, 40) + (center, 100)
            box = Region((center, 100.0), (44.0, 88.0), tight=False)
            presence = 0.95 if len(near) >= 12 else 0.1
            poses.append(PersonPose(xy_px, np.full(17, presence), presence, box))
        return poses


PLAIN = FollowParameters(second_look=False)


def run(
    world_at: list[World], fps: float = 30.0, parameters: FollowParameters = PLAIN
) -> tuple[TopDownEstimator, list[list[tuple[int, float]]]]:
    seer = SeesColours()
    estimator = TopDownEstimator(seer, seer, parameters)
    answers = []
    for number, world in enumerate(world_at):
        poses = estimator.update(world.picture(), number / fps)
        answers.append([(pose.person, float(pose.xy_px[11:13, 0].mean())) for pose in poses])
    return estimator, answers


RED, BLUE = (200, 30, 30), (30, 30, 200)


def test_nobody_is_nobody() -> None:
    _, answers = run([World()] * 5)
    assert answers == [[]] * 5


def test_two_people_keep_their_ids_and_places() -> None:
    worlds = [World(people={"a": (60 + i, RED), "b": (300 - i, BLUE)}) for i in range(60)]
    _, answers = run(worlds)
    for number, answer in enumerate(answers):
        assert [person for person, _ in answer] == [1, 2]
        assert answer[0][1] == pytest.approx(60 + number, abs=2)
        assert answer[1][1] == pytest.approx(300 - number, abs=2)


@pytest.mark.parametrize("fps", [10.0, 30.0, 60.0])
def test_an_id_survives_a_short_occlusion_at_any_frame_rate(fps: float) -> None:
    gone = [World(people={"b": (300, BLUE)})] * int(1.5 * fps)
    here = [World(people={"a": (60, RED), "b": (300, BLUE)})] * int(fps)
    _, answers = run(here + gone + here, fps)
    assert answers[len(here) + len(gone) // 2] == [(2, pytest.approx(300, abs=2))]
    assert [person for person, _ in answers[-1]] == [1, 2]


def test_after_a_long_absence_an_id_is_new() -> None:
    here, nobody = [World(people={"a": (60, RED)})] * 10, [World()] * 150
    _, answers = run(here + nobody + here)
    assert answers[-1] == [(2, pytest.approx(60, abs=2))]


def test_somebody_in_other_clothes_is_somebody_else() -> None:
    before, nobody, after = (
        [World(people={"a": (60, RED)})] * 10,
        [World()] * 10,
        [World(people={"b": (70, BLUE)})] * 10,
    )
    _, answers = run(before + nobody + after)
    assert answers[-1] == [(2, pytest.approx(70, abs=2))]


def test_people_who_cross_keep_their_ids() -> None:
    worlds = []
    for i in range(110):
        a, b = 60 + 2.5 * i, 330 - 2.5 * i
        people = {"a": (a, RED), "b": (b, BLUE)}  # b is drawn over a
        worlds.append(World(people=people))
    _, answers = run(worlds)
    assert answers[-1] == [(1, pytest.approx(60 + 2.5 * 109, abs=3)), (2, pytest.approx(330 - 2.5 * 109, abs=3))]


def test_the_detector_rests_while_everybody_is_in_sight() -> None:
    estimator, _ = run([World(people={"a": (100, RED)})] * 61)
    assert estimator.detector.detections == 5  # type: ignore[attr-defined]  # at 0, 0.5, 1, 1.5 and 2 s


def test_no_more_people_than_asked_for() -> None:
    world = World(people={"a": (60, RED), "b": (300, BLUE)})
    _, answers = run([world] * 3, parameters=replace(PLAIN, max_people=1))
    assert all(len(answer) == 1 for answer in answers)


def test_time_must_go_on_until_reset() -> None:
    estimator, _ = run([World()])
    with pytest.raises(ValueError, match="reset"):
        estimator.update(World().picture(), 0.0)
    estimator.reset()
    estimator.update(World().picture(), 0.0)


def test_estimate_is_update_frame_by_frame() -> None:
    worlds = [World(people={"a": (60 + i, RED)} if i > 5 else {}) for i in range(20)]
    estimator, answers = run(worlds)
    recording = estimator.estimate(Frame(i, i / 30, world.picture()) for i, world in enumerate(worlds))
    assert len(recording) == 20
    (person,) = recording.people
    live = [answer[0][1] if answer else np.nan for answer in answers]
    np.testing.assert_array_equal(person.xy_px[:, 11:13, 0].mean(axis=1), live)


def test_no_frames_give_an_empty_recording() -> None:
    seer = SeesColours()
    recording = TopDownEstimator(seer, seer).estimate([])
    assert len(recording) == 0
    assert recording.people == ()


def test_a_ghost_fails_the_second_look() -> None:
    @dataclass
    class SeesGhosts(SeesColours):
        """Sees somebody in any whole picture, never in a close-up."""

        def detect(self, image: Image) -> list[Region]:
            return [Region.from_box((180.0, 60.0, 220.0, 140.0), 0.9)] if image.shape[1] == 400 else []

        def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:  # noqa: ARG002
            return [
                PersonPose(SHAPE * (20, 40) + (200, 100), np.ones(17), 0.9, Region((200.0, 100.0), (44.0, 88.0)))
                for _ in regions
            ]

    seer = SeesGhosts()
    picture = World().picture()
    assert len(TopDownEstimator(seer, seer, PLAIN).update(picture, 0.0)) == 1
    assert TopDownEstimator(seer, seer, WORKING_POINTS["balanced"]).update(picture, 0.0) == ()


class BelievesEverything(SeesColours):
    """Key points that are sure of everybody, everywhere, and slide a little to the right from frame to frame."""

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        del image
        poses = []
        for region in regions:
            center = region.center_px[0] + 1.0
            box = Region((center, 100.0), (44.0, 88.0))
            poses.append(PersonPose(SHAPE * (20, 40) + (center, 100), np.full(17, 0.9), 0.9, box))
        return poses


def follow(seer: SeesColours, worlds: list[World], parameters: FollowParameters) -> list[list[PersonPose]]:
    estimator = TopDownEstimator(seer, seer, parameters)
    return [list(estimator.update(world.picture(), number / 30)) for number, world in enumerate(worlds)]


def test_whom_the_detector_no_longer_finds_is_not_followed_for_ever() -> None:
    worlds = [World(people={"a": (100, RED)})] * 30 + [World()] * 60
    asked = replace(PLAIN, unfound_for_s=0.9)
    answers = follow(BelievesEverything(), worlds, asked)
    assert all(len(poses) == 1 for poses in answers[:30])
    assert not any(answers[30 + 45 :]), "at the latest 1.5 s after the detector saw nobody"
    assert all(follow(BelievesEverything(), worlds, PLAIN)), "without being asked, the detector has no say"


def test_the_detector_has_its_say_when_nobody_more_is_wanted_too() -> None:
    worlds = [World(people={"a": (100, RED)})] * 30 + [World()] * 60
    one = follow(BelievesEverything(), worlds, replace(PLAIN, unfound_for_s=0.9, max_people=1))
    assert all(len(poses) == 1 for poses in one[:30])
    assert not any(one[30 + 45 :])


def test_where_the_detector_finds_somebody_the_next_pose_is_taken() -> None:
    worlds = [World(people={"a": (100, RED)})] * 90
    asked = follow(BelievesEverything(), worlds, replace(PLAIN, unfound_for_s=0.9))
    drift = [abs(float(poses[0].xy_px[11:13, 0].mean()) - 100) for poses in asked]
    assert max(drift) < 20, "half a second of drift at most"
    assert {pose.person for poses in asked for pose in poses} == {1}
    assert abs(float(follow(BelievesEverything(), worlds, PLAIN)[-1][0].xy_px[11:13, 0].mean()) - 100) > 60


def test_the_detector_is_not_asked_in_a_hurry_for_whom_it_does_not_find() -> None:
    both, one = World(people={"a": (100, RED), "b": (300, BLUE)}), World(people={"a": (100, RED)})
    seer = BelievesEverything()
    answers = follow(seer, [both] * 30 + [one] * 150, replace(PLAIN, unfound_for_s=0.9))
    assert len(answers[20]) == 2
    assert len(answers[-1]) == 1
    assert seer.detections <= 6 / PLAIN.detect_every_s + 4


def test_tiles_cover_the_picture_and_overlap() -> None:
    covered = np.zeros((100, 150), dtype=int)
    for left, top, width, height in tiles(150, 100, 3):
        covered[top : top + height, left : left + width] += 1
    assert covered.min() >= 2  # every pixel in a tile of each of the two sizes
    assert tiles(150, 100, 1) == []


def test_a_mirrored_region_is_where_the_person_is() -> None:
    region = Region((10.0, 5.0), (4.0, 8.0), 0.3)
    assert mirrored_region(region, 100).center_px == (89.0, 5.0)
    assert mirrored_region(mirrored_region(region, 100), 100) == region


def test_similarity_and_overlap_know_same_and_different() -> None:
    def at(x: float) -> PersonPose:
        return PersonPose(SHAPE * (20, 40) + (x, 100), np.ones(17), 1.0, Region((x, 100.0), (44.0, 88.0)))

    assert similarity(at(50), at(50), COCO_17) == pytest.approx(1.0)
    assert similarity(at(50), at(52), COCO_17) > 0.9
    assert similarity(at(50), at(200), COCO_17) < 0.01
    assert overlap(np.array([0.0, 0, 2, 2]), np.array([1.0, 0, 3, 2])) == pytest.approx(1 / 3)


class Machine(SeesColours):
    """A slow machine with a clock of its own: what the networks cost moves it on."""

    def __init__(self, look_s: float, detect_s: float) -> None:
        super().__init__()
        self.look_s, self.detect_s, self.now_s = look_s, detect_s, 0.0

    def detect(self, image: Image) -> list[Region]:
        self.now_s += self.detect_s
        return super().detect(image)

    def keypoints(self, image: Image, regions: Sequence[Region]) -> list[PersonPose]:
        self.now_s += self.look_s * len(regions)
        return super().keypoints(image, regions)


def followed_live(machine: Machine, parameters: FollowParameters, seconds: float = 12.0) -> tuple[float, int]:
    """Frames a second that the machine manages on a camera at 30 (it takes the newest frame), and how often it looked
    for newcomers."""
    estimator = TopDownEstimator(machine, machine, parameters, clock=lambda: machine.now_s)
    picture = World(people={"a": (100, RED)}).picture()
    frames, shown_s = 0, -1.0
    while machine.now_s < seconds:
        machine.now_s = max(machine.now_s, shown_s + 1 / 30)
        shown_s = machine.now_s
        assert [pose.person for pose in estimator.update(picture, shown_s)] == [1]
        frames += 1
    return frames / machine.now_s, machine.detections


def test_a_target_frame_rate_makes_the_detector_rest_longer() -> None:
    often = replace(PLAIN, detect_every_s=0.1)
    plain_fps, plain_looks = followed_live(Machine(0.02, 0.1), often)
    kept_fps, kept_looks = followed_live(Machine(0.02, 0.1), replace(often, target_fps=25))
    assert plain_fps < 20
    assert kept_fps >= 24.5
    # a search takes 0.12 s, other frames come 1/30 s apart: (0.12 - 1/30) / (1 - 25/30) = 0.52 s between two searches
    assert 12 / 0.62 <= kept_looks <= 12 / 0.48 < plain_looks


def test_a_fast_machine_looks_as_often_as_wished_and_a_hopeless_one_still_looks() -> None:
    fast = replace(PLAIN, target_fps=25)
    assert followed_live(Machine(0.002, 0.01), fast)[1] == followed_live(Machine(0.002, 0.01), PLAIN)[1]
    _, looks = followed_live(Machine(0.1, 0.1), fast)  # the key points alone are too slow
    assert looks >= 5


def test_without_a_target_the_clock_is_never_read() -> None:
    def never() -> float:
        raise AssertionError("the answer would depend on the machine")

    seer = SeesColours()
    estimator = TopDownEstimator(seer, seer, PLAIN, clock=never)
    assert estimator.update(World(people={"a": (100, RED)}).picture(), 0.0)
    with pytest.raises(ValueError, match="target_fps"):
        FollowParameters(target_fps=0)
