"""What is written, read back by libraries that know nothing of us: pandas, c3d, ezc3d's own reader."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import replace
from pathlib import Path

import c3d
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from pipeline.exchange import EXPORT_FORMATS, ExchangeError, ExportOptions, export_poses
from pipeline.exchange.base import on_even_times, rate_of
from pipeline.exchange.markers import joint_named, marker_name
from pipeline.kinematics import angles
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import read_poses
from pipeline.skeletons import COCO_17, HALPE_26, SKELETONS
from tests.conftest import random_sequence
from tests.pipeline.exchange.samples import FPS, person, squats, true_place


def trc_table(content: bytes) -> tuple[dict[str, str], pd.DataFrame]:
    """Header and data of a TRC file, by the format's description."""
    lines = content.decode().split("\n")
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names = [name for name in lines[3].split("\t")[2:] if name]
    columns = ["frame", "time", *(f"{name}_{axis}" for name in names for axis in "xyz")]
    return header, pd.read_csv(io.StringIO(content.decode()), sep="\t", skiprows=5, names=columns)


def test_trc_has_the_format_that_opensim_reads() -> None:
    sequence = person()
    made = export_poses(squats(), "trc", name="squats")
    lines = made.content.decode().split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert lines[3].startswith("Frame#\tTime\tNose\t\t\t")
    assert lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"]
    header, table = trc_table(made.content)
    assert (header["DataRate"], header["Units"], header["OrigDataStartFrame"]) == ("30", "m", "1")
    assert int(header["NumFrames"]) == len(table) == len(sequence)
    assert int(header["NumMarkers"]) == (len(table.columns) - 2) // 3
    np.testing.assert_array_equal(table["frame"], np.arange(1, len(sequence) + 1))
    np.testing.assert_allclose(table["time"], sequence.time_s, atol=2e-6)
    body = sequence.to(HALPE_26)
    for joint, marker in (("left_knee", "LKnee"), ("hip_center", "Hip"), ("right_big_toe", "RBigToe")):
        written = table[[f"{marker}_{axis}" for axis in "xyz"]].to_numpy()
        np.testing.assert_allclose(written, true_place(body, joint), atol=1e-6)


def test_axes_are_y_up_and_right_handed() -> None:
    """Filmed from the right side, facing picture right: x forwards, y up, z to the person's right (OpenSim)."""
    _, table = trc_table(export_poses(squats("right"), "trc").content)
    standing = table.iloc[0]
    assert standing["Neck_y"] - standing["RAnkle_y"] > 0.8
    forwards = standing[["RBigToe_x", "RBigToe_z"]].to_numpy() - standing[["RHeel_x", "RHeel_z"]].to_numpy()
    to_right = standing[["RHip_x", "RHip_z"]].to_numpy() - standing[["LHip_x", "LHip_z"]].to_numpy()
    assert forwards[0] > abs(forwards[1])
    assert to_right[1] > abs(to_right[0])


def test_millimetres_and_the_floor() -> None:
    header, table = trc_table(export_poses(squats(), "trc", ExportOptions(units="mm", origin="floor")).content)
    assert header["Units"] == "mm"
    feet = table[[c for c in table.columns if re.fullmatch(r"[LR](Heel|BigToe|Ankle)_y", c)]]
    np.testing.assert_allclose(feet.min(axis=1), 0, atol=1e-3)
    assert 1200 < table["Head_y"].iloc[0] < 2000
    assert table["Head_y"].iloc[0] - table["Head_y"].min() > 200  # with feet on the floor, a squat lowers the head


def test_missing_markers_are_empty_cells() -> None:
    made = export_poses(Recording((random_sequence(),), random_sequence().time_s), "trc", ExportOptions(rate_hz=25))
    _, table = trc_table(made.content)
    assert table["LKnee_x"].isna().any()
    assert "nan" not in made.content.decode().lower()


def test_c3d_as_another_library_reads_it(tmp_path: Path) -> None:
    sequence = person()
    hidden = np.array(sequence.xyz_m)
    hidden[5, sequence.skeleton.index("left_knee")] = np.nan
    sequence = replace(sequence, xyz_m=hidden)
    path = tmp_path / "squats.c3d"
    path.write_bytes(export_poses(Recording((sequence,), sequence.time_s), "c3d").content)
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses analog data
        reader = c3d.Reader(file)
        labels = [label.strip() for label in reader.point_labels]
        frames = [points for _, points, _ in reader.read_frames()]
        assert reader.point_rate == FPS
        assert reader.get("POINT:UNITS").string_value.strip() == "mm"
        assert [reader.get(f"POINT:{name}").string_value.strip() for name in ("X_SCREEN", "Y_SCREEN")] == ["+X", "+Y"]
    points = np.stack(frames)
    body = sequence.to(HALPE_26)
    assert len(points) == len(sequence)
    knee = labels.index("LKnee")
    assert points[5, knee, 3] < 0  # not seen
    seen = np.arange(len(points)) != 5
    np.testing.assert_allclose(points[seen, knee, :3] / 1000, true_place(body, "left_knee")[seen], atol=1e-5)


def test_mot_has_angles_in_degrees_under_opensims_names() -> None:
    sequence = person()
    text = export_poses(squats(), "mot").content.decode()
    head, _, body = text.partition("endheader\n")
    assert "inDegrees=yes" in head.splitlines()
    table = pd.read_csv(io.StringIO(body), sep="\t")
    assert f"nRows={len(table)}" in head.splitlines()
    assert f"nColumns={len(table.columns)}" in head.splitlines()
    assert {"time", "pelvis_tilt", "hip_flexion_r", "knee_angle_l", "ankle_angle_r", "arm_flex_l"} <= set(table.columns)
    np.testing.assert_allclose(np.diff(table["time"]), 1 / FPS, atol=2e-6)  # OpenSim wants even times
    found = angles(sequence, space=True)
    np.testing.assert_allclose(table["knee_angle_l"], found["left_knee_flexion"].value_deg, atol=1e-3)
    assert table["knee_angle_l"].iloc[0] < 30
    assert table["knee_angle_l"].max() > 90  # flexion is positive, as in Rajagopal2016
    assert table["pelvis_tilt"].min() < -15  # leaning forwards is negative about OpenSim's z
    assert abs(table["pelvis_tilt"].iloc[0]) < 10


def bvh_positions(text: str) -> tuple[float, dict[str, np.ndarray]]:
    """Frame time and joint positions by forward kinematics, as an animation program reads the file."""
    lines = iter(text.splitlines())
    order: list[str] = []
    parents: dict[str, str] = {}
    offsets: dict[str, np.ndarray] = {}
    stack: list[str] = []
    for line in lines:
        words = line.split()
        if words[0] in ("ROOT", "JOINT"):
            parents[words[1]] = stack[-1] if stack else ""
            order.append(words[1])
            stack.append(words[1])
        elif words[0] == "End":
            stack.append("end")
        elif words[0] == "OFFSET" and stack[-1] != "end":
            offsets[stack[-1]] = np.array(words[1:], float)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "MOTION":
            break
    count = int(next(lines).split()[1])
    frame_s = float(next(lines).split()[2])
    values = np.array([next(lines).split() for _ in range(count)], float)
    place: dict[str, np.ndarray] = {}
    turned: dict[str, Rotation] = {}
    for number, joint in enumerate(order):
        local = Rotation.from_euler("ZXY", values[:, 3 + 3 * number : 6 + 3 * number], degrees=True)
        parent = parents[joint]
        turned[joint] = turned[parent] * local if parent else local
        place[joint] = place[parent] + turned[parent].apply(offsets[joint]) if parent else values[:, :3]
    return frame_s, place


def test_bvh_moves_like_the_person() -> None:
    sequence = person().to(HALPE_26)
    frame_s, place = bvh_positions(export_poses(squats(), "bvh").content.decode())
    assert frame_s == pytest.approx(1 / FPS)
    for joint, bone in (("left_knee", "LeftLeg"), ("right_ankle", "RightFoot"), ("left_wrist", "LeftHand")):
        error_cm = np.linalg.norm(place[bone] - 100 * true_place(sequence, joint), axis=1)
        assert np.median(error_cm) < 4, joint  # bones of one length each


@pytest.mark.parametrize("file_format", ["csv", "json", "parquet"])
def test_tables_hold_everybody(file_format: str, tmp_path: Path) -> None:
    recording = squats()
    content = export_poses(recording, file_format).content
    if file_format == "csv":
        table = pd.read_csv(io.BytesIO(content))
        assert len(table) == len(recording) * 33
        back = table["x_px"].to_numpy().reshape(len(recording), 33)
    elif file_format == "json":
        back = Recording.from_json(content).people[0].xy_px[..., 0]
    else:
        path = tmp_path / "poses.parquet"
        path.write_bytes(content)
        back = read_poses(path).people[0].xy_px[..., 0]
    np.testing.assert_allclose(back, recording.people[0].xy_px[..., 0], atol=0.006)


def test_uneven_times_become_even_without_inventing_anything() -> None:
    time_s = np.array([0.0, 0.1, 0.2, 0.35, 0.4, 0.5, 1.5, 1.6])
    values = 10 * time_s
    values[2] = np.nan
    even, result = on_even_times(time_s, values, 10.0)
    np.testing.assert_allclose(even, np.arange(17) / 10)
    known = np.isfinite(result)
    np.testing.assert_allclose(result[known], 10 * even[known], atol=1e-9)
    assert not known[2]  # was missing
    assert not known[3]  # between a missing and a known frame
    assert not known[6:15].any()  # a hole of ten frames is not bridged


def test_even_times_with_rounded_stamps_keep_their_values() -> None:
    time_s = np.round(np.arange(90) / 29.97, 3)
    values = np.random.default_rng(1).normal(size=(90, 2))
    even, result = on_even_times(time_s, values, 29.97)
    np.testing.assert_array_equal(result, values)
    assert len(even) == 90
    assert rate_of(random_sequence(1)) == 30.0
    assert rate_of(replace(person(), time_s=person().time_s * 1.001)) == pytest.approx(29.97003)


def test_poses_of_the_picture_need_a_height() -> None:
    flat = replace(person(), xyz_m=None, root_m=None)
    recording = Recording((flat,), flat.time_s)
    with pytest.raises(ExchangeError, match="height"):
        export_poses(recording, "trc")
    made = export_poses(recording, "trc", ExportOptions(height_m=1.75))
    _, table = trc_table(made.content)
    assert (table[[c for c in table.columns if c.endswith("_z")]].abs().max() == 0).all()
    span = table["Head_y"].iloc[0] - table["RHeel_y"].iloc[0]
    assert 1.4 < span < 1.8
    assert "1.75" in " ".join(made.notes)


def test_what_cannot_be_written_is_said() -> None:
    recording = squats()
    flat = replace(person(), xyz_m=None, root_m=None)
    unseen = PoseSequence.empty(COCO_17, (64, 64), 1, np.arange(4) / 30)
    cases = (
        (recording, "fbx", ExportOptions(), "no format"),
        (recording, "trc", ExportOptions(person=99), "no person 99"),
        (Recording.empty(), "c3d", ExportOptions(), "Nobody"),
        (Recording((unseen,), unseen.time_s), "mot", ExportOptions(), "no frame"),
        (Recording((flat,), flat.time_s), "bvh", ExportOptions(), "space"),
    )
    for given, file_format, options, words in cases:
        with pytest.raises(ExchangeError, match=words):
            export_poses(given, file_format, options)
    for settings in ({"units": "inch"}, {"origin": "moon"}, {"markers": "some"}, {"rate_hz": 0.0}):
        with pytest.raises(ExchangeError):
            ExportOptions(**settings)  # type: ignore[arg-type]


def test_nobody_is_an_ordinary_table() -> None:
    assert export_poses(Recording.empty(), "csv").content.decode().count("\n") == 1
    assert Recording.from_json(export_poses(Recording.empty(), "json").content).people == ()


def test_one_picture_is_one_frame() -> None:
    one = person().select(slice(0, 1))
    for name in EXPORT_FORMATS:
        assert export_poses(Recording((one,), one.time_s), name).content


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_every_joint_has_a_name_of_its_own_that_is_understood(skeleton: object) -> None:
    joints = skeleton.joints  # type: ignore[attr-defined]
    names = [marker_name(joint) for joint in joints]
    assert len(set(names)) == len(names)
    assert [joint_named(name) for name in names] == list(joints)
