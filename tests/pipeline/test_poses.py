"""The vocabulary: validation, tables, JSON, mappings."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.poses import (
    SCHEMA_VERSION,
    TIDY_COLUMNS,
    MediaInfo,
    ModelInfo,
    PoseSequence,
    Recording,
    SchemaError,
)
from pipeline.skeletons import (
    BLAZEPOSE_33,
    COCO_17,
    HALPE_26,
    KINECT_13,
    KINECT_20,
    SKELETONS,
    Skeleton,
    mapping,
)
from tests.conftest import random_sequence


def recording_of(*people: PoseSequence) -> Recording:
    time_s = people[0].time_s if people else np.empty(0)
    return Recording(people, time_s, MediaInfo(name="clip.mp4", width=640, height=480), ModelInfo(name="test"))


def test_a_sequence_owns_read_only_copies() -> None:
    xy = np.zeros((2, 17, 2))
    sequence = PoseSequence(COCO_17, np.array([0.0, 0.1]), xy, np.ones((2, 17)), None, (10, 10))
    xy[:] = 5
    assert (sequence.xy_px == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        sequence.xy_px[0] = 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time_s": np.array([0.0, 0.0])}, "strictly increasing"),
        ({"time_s": np.array([0.0, np.nan])}, "strictly increasing"),
        ({"xy_px": np.zeros((2, 16, 2))}, r"xy_px must have shape \(2, 17, 2\).*got \(2, 16, 2\)"),
        ({"score": np.full((2, 17), 1.5)}, "raw_score"),
        ({"score": np.full((2, 17), np.inf)}, "NaN"),
        ({"xyz_m": np.zeros((2, 17, 2))}, "xyz_m"),
        ({"image_size": (-1, 5)}, "image_size"),
    ],
)
def test_wrong_values_are_named_with_a_remedy(change: dict[str, object], words: str) -> None:
    good: dict[str, object] = {
        "skeleton": COCO_17,
        "time_s": np.array([0.0, 0.1]),
        "xy_px": np.zeros((2, 17, 2)),
        "score": np.ones((2, 17)),
        "xyz_m": None,
        "image_size": (10, 10),
    }
    with pytest.raises(ValueError, match=words):
        PoseSequence(**(good | change))  # type: ignore[arg-type]


def test_nobody_and_no_frames_are_ordinary() -> None:
    nobody = PoseSequence.empty(time_s=np.array([0.0, 0.5]))
    assert len(nobody) == 2
    assert nobody.frames_seen == 0
    assert np.isnan(nobody.boxes_px()).all()
    assert nobody.to_frame().empty
    for empty in (PoseSequence.empty(), PoseSequence.empty().to(COCO_17), PoseSequence.empty().mirrored()):
        assert len(empty) == 0
        assert list(empty.to_frame().columns) == list(TIDY_COLUMNS)
    recording = Recording.empty()
    assert recording.to_frame().empty
    assert len(Recording.from_json(recording.to_json()).people) == 0


def test_joints_by_name_and_a_helpful_key_error() -> None:
    sequence = random_sequence()
    np.testing.assert_array_equal(sequence["left_knee"], sequence.xy_px[:, BLAZEPOSE_33.joints.index("left_knee")])
    with pytest.raises(KeyError, match="left_knee"):
        sequence["left_kneecap"]


def test_between_is_half_open_and_keeps_times() -> None:
    sequence = PoseSequence.empty(time_s=np.arange(10) / 10)
    part = sequence.between(0.2, 0.5)
    np.testing.assert_allclose(part.time_s, [0.2, 0.3, 0.4])


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_json_round_trip_keeps_every_number(skeleton: Skeleton) -> None:
    recording = recording_of(random_sequence(skeleton=skeleton), random_sequence(skeleton=skeleton, person=7))
    again = Recording.from_json(recording.to_json())
    assert repr(again.source) == repr(recording.source)  # NaN equals nothing
    assert again.model == recording.model
    assert [p.person for p in again.people] == [1, 7]
    for before, after in zip(recording.people, again.people, strict=True):
        for name in ("time_s", "xy_px", "score", "xyz_m"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_json_writes_missing_as_null_and_names_its_schema() -> None:
    document = orjson.loads(recording_of(random_sequence()).to_json())
    assert document["schema_version"] == SCHEMA_VERSION
    assert document["people"][0]["xy_px"][2][0] == [None, None]


def test_a_newer_or_foreign_file_is_refused_in_words() -> None:
    document = orjson.loads(recording_of().to_json())
    with pytest.raises(SchemaError, match="newer Kinoscope"):
        Recording.from_json(orjson.dumps(document | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(SchemaError, match="not written by Kinoscope"):
        Recording.from_json(b"{}")
    with pytest.raises(SchemaError, match="not JSON"):
        Recording.from_json(b"\x00\x01")


def test_the_table_is_tidy_and_goes_back() -> None:
    sequence = random_sequence()
    table = sequence.to_frame()
    assert list(table.columns) == list(TIDY_COLUMNS)
    assert len(table) == (len(sequence) - 1) * 33  # the frame without the person is left out
    row = table[(table.frame == 5) & (table.joint == "nose")].iloc[0]
    assert row.x_px == sequence["nose"][5, 0]
    assert row.time_s == sequence.time_s[5]
    again = PoseSequence.from_frame(table, BLAZEPOSE_33, sequence.time_s, (640, 480), 1)
    np.testing.assert_array_equal(again.xy_px, sequence.xy_px)
    np.testing.assert_array_equal(again.xyz_m, sequence.xyz_m)


def test_people_must_share_the_timeline_and_have_their_own_ids() -> None:
    person = random_sequence()
    with pytest.raises(ValueError, match="timeline"):
        Recording((person,), person.time_s + 1)
    with pytest.raises(ValueError, match="id of their own"):
        Recording((person, person), person.time_s)
    with pytest.raises(KeyError, match="there is: 1"):
        recording_of(person).person(2)


def test_person_at_a_pixel_is_the_smallest_box_there() -> None:
    big, small = np.full((1, 17, 2), np.nan), np.full((1, 17, 2), np.nan)
    big[0, :2], small[0, :2] = [[0, 0], [100, 100]], [[40, 40], [60, 60]]
    people = tuple(
        PoseSequence(COCO_17, np.zeros(1), xy, np.ones((1, 17)), None, (200, 200), number)
        for number, xy in ((1, big), (2, small))
    )
    recording = Recording(people, np.zeros(1))
    assert recording.person_at(0, 50, 50) == 2
    assert recording.person_at(0, 10, 90) == 1
    assert recording.person_at(0, 180, 180) is None


def test_frame_at_a_time_is_the_one_on_screen() -> None:
    recording = Recording((), np.array([0.0, 0.1, 0.5]))
    assert [recording.frame_at(t) for t in (-1, 0, 0.09, 0.1, 0.49, 9)] == [0, 0, 0, 1, 1, 2]


def test_mapping_to_kinect_takes_wrists_ankles_and_the_middle_of_the_ears() -> None:
    sequence = random_sequence(gaps=False)
    kinect = sequence.to(KINECT_13)
    np.testing.assert_allclose(kinect["left_foot"], sequence["left_ankle"])
    np.testing.assert_allclose(kinect["right_hand"], sequence["right_wrist"])
    np.testing.assert_allclose(kinect["head"], (sequence["left_ear"] + sequence["right_ear"]) / 2)
    ears = [BLAZEPOSE_33.index("left_ear"), BLAZEPOSE_33.index("right_ear")]
    np.testing.assert_allclose(kinect.score[:, 0], sequence.score[:, ears].min(axis=1))


def test_what_a_skeleton_cannot_know_is_missing_not_zero() -> None:
    feet = random_sequence(skeleton=COCO_17).to(HALPE_26)
    assert np.isnan(feet["left_heel"]).all()
    assert np.isnan(feet.score[:, HALPE_26.index("right_big_toe")]).all()
    from_kinect = random_sequence(skeleton=KINECT_20, gaps=False).to(KINECT_13)
    np.testing.assert_allclose(from_kinect["left_foot"], random_sequence(skeleton=KINECT_20, gaps=False)["left_ankle"])
    assert np.isnan(random_sequence(skeleton=KINECT_13).to(KINECT_20)["left_foot"]).all()


@pytest.mark.parametrize("source", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("target", SKELETONS.values(), ids=lambda s: s.name)
def test_mappings_never_mix_sides(source: Skeleton, target: Skeleton) -> None:
    for joint, row in zip(target.joints, mapping(source, target), strict=True):
        names = [source.joints[i] for i in row]
        if joint.startswith("left_") and "collar" not in joint:
            assert not any("right" in name for name in names)
        if joint.startswith("right_") and "collar" not in joint:
            assert not any("left" in name for name in names)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_every_side_has_its_other_side(skeleton: Skeleton) -> None:
    sided = [j for j in skeleton.joints if "left" in j or "right" in j]
    assert len(sided) == 2 * len(skeleton.left_right)


@given(seed=st.integers(0, 10_000))
def test_mirroring_twice_changes_nothing(seed: int) -> None:
    sequence = random_sequence(seed=seed)
    twice = sequence.mirrored().mirrored()
    np.testing.assert_allclose(twice.xy_px, sequence.xy_px)
    np.testing.assert_allclose(sequence.mirrored()["left_knee"][:, 0], 639 - sequence["right_knee"][:, 0])
