"""Poses of other programs come in as they are, and the analyses find in them what is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.exchange import ExchangeError, ExportOptions, ImportOptions, export_poses, import_poses, import_run
from pipeline.exchange.json_files import read_mmdet
from pipeline.exchange.markers import ORDERS, skeleton_for
from pipeline.movements import analyze
from pipeline.poses import PoseSequence, Recording
from pipeline.runs import RunStore
from pipeline.skeletons import COCO_17, HALPE_26
from pipeline.synthetic.actor import ActorSpec, render_clip
from tests.conftest import random_sequence
from tests.pipeline.exchange import samples
from tests.pipeline.exchange.samples import COUNT, FPS, SIZE, person, squats, write

FPS_ONLY = ImportOptions(fps=FPS)


def near(found: PoseSequence, joint: str, truth: PoseSequence, atol: float) -> None:
    """The joint's pixels agree wherever both know them."""
    ours, theirs = found[joint], truth[joint]
    known = np.isfinite(theirs).all(axis=1)
    np.testing.assert_allclose(ours[known], theirs[known], atol=atol)


def test_mmpose_results_of_a_video(tmp_path: Path) -> None:
    made = import_poses(write(tmp_path / "results_clip.json", samples.mmpose(person())), FPS_ONLY)
    assert made.file_format == "mmpose"
    (found,) = made.recording.people
    assert found.skeleton is COCO_17
    assert found.raw_score is not None
    assert (np.nanmax(found.score), np.nanmax(found.raw_score)) == (1.0, 1.3)
    np.testing.assert_allclose(np.diff(found.time_s), 1 / FPS)
    near(found, "left_knee", person(), 1e-6)
    assert analyze(made.recording, "squat").complete == COUNT


def test_mmpose_inferencer_lists_and_single_pictures(tmp_path: Path) -> None:
    frames = [entry["instances"] for entry in samples.mmpose(person())["instance_info"]]
    made = import_poses(write(tmp_path / "predictions.json", frames), FPS_ONLY)
    near(made.recording.people[0], "right_wrist", person(), 1e-6)
    picture = next(found for found in frames if found)
    made = import_poses(write(tmp_path / "photo.json", picture), FPS_ONLY)
    assert len(made.recording) == 1


def test_tracked_ids_are_kept_and_others_are_followed(tmp_path: Path) -> None:
    made = import_poses(write(tmp_path / "a.json", samples.mmpose(person(), tracked=True)), FPS_ONLY)
    assert [p.person for p in made.recording.people] == [7]
    first, second = person(), replace(person(), xy_px=person().xy_px + (900, 0))
    both = samples.mmpose(first)
    for entry, other in zip(both["instance_info"], samples.mmpose(second)["instance_info"], strict=True):
        pair = entry["instances"] + other["instances"]
        entry["instances"] = pair if entry["frame_id"] % 2 else pair[::-1]  # no order from frame to frame
    recording = import_poses(write(tmp_path / "b.json", both), FPS_ONLY).recording
    assert len(recording.people) == 2
    for found in recording.people:
        x = found["nose"][:, 0]
        assert np.nanmax(x) - np.nanmin(x) < 400  # nobody jumps to the other


def test_an_openpose_folder(tmp_path: Path) -> None:
    made = import_poses(samples.openpose(person(), tmp_path / "json"), FPS_ONLY)
    assert made.file_format == "openpose"
    (found,) = made.recording.people
    assert found.skeleton is HALPE_26
    near(found, "left_knee", person(), 1e-6)
    assert np.isnan(found["head"]).all()  # BODY_25 has none; it is not made up
    assert np.isnan(found["left_small_toe"]).all()  # written as 0, 0, 0: not seen
    assert analyze(made.recording).complete == COUNT


def test_openpose_frames_that_are_missing_stay_missing(tmp_path: Path) -> None:
    folder = samples.openpose(person(), tmp_path / "json")
    for number in (10, 11, 12):
        (folder / f"clip_{number:012d}_keypoints.json").unlink()
    found = import_poses(folder, FPS_ONLY).recording.people[0]
    assert len(found) == len(person())
    assert np.isnan(found["nose"][10:13]).all()
    near(found.select(slice(13, None)), "nose", person().select(slice(13, None)), 1e-6)


def test_alphapose_results(tmp_path: Path) -> None:
    made = import_poses(write(tmp_path / "alphapose-results.json", samples.alphapose(person())), FPS_ONLY)
    (found,) = made.recording.people
    assert (made.file_format, found.person, found.skeleton) == ("alphapose", 4, HALPE_26)
    near(found, "right_heel", person(), 1e-6)
    assert np.isnan(found["left_small_toe"]).all()  # negative confidence: not found


@pytest.mark.parametrize("first", [0, 1])
def test_mediapipe_shares_need_the_picture_size(tmp_path: Path, first: int) -> None:
    path = write(tmp_path / "pose.csv", samples.mediapipe_wide(person(), first=first))
    with pytest.raises(ExchangeError, match="--size"):
        import_poses(path, FPS_ONLY)
    made = import_poses(path, replace(FPS_ONLY, size="640x480"))
    assert made.file_format == "mediapipe"
    near(made.recording.people[0], "left_ankle", person(), 0.01)
    assert made.recording.people[0].image_size == SIZE


def test_mediapipe_long_tables_carry_times_and_metres(tmp_path: Path) -> None:
    made = import_poses(write(tmp_path / "pose.csv", samples.mediapipe_long(person())))
    (found,) = made.recording.people
    truth = person()
    np.testing.assert_allclose(found.time_s, truth.time_s, atol=1e-6)
    near(found, "left_knee", truth, 0.01)
    assert found.xyz_m is not None
    assert truth.xyz_m is not None
    np.testing.assert_allclose(found.xyz_m, truth.xyz_m, atol=1e-4)


def test_mediapipe_named_columns_in_pixels(tmp_path: Path) -> None:
    made = import_poses(write(tmp_path / "pose.csv", samples.mediapipe_named(person())), FPS_ONLY)
    near(made.recording.people[0], "right_knee", person(), 0.01)
    assert np.isnan(made.recording.people[0]["left_pinky"]).all()
    assert any("size" in note for note in made.notes)


@pytest.mark.parametrize(("suffix", "unit"), [("trc", "m"), ("trc", "mm"), ("c3d", "m"), ("c3d", "mm")])
def test_markers_come_back(tmp_path: Path, suffix: str, unit: str) -> None:
    path = tmp_path / f"squats.{suffix}"
    path.write_bytes(export_poses(squats(), suffix, ExportOptions(units=unit, origin="floor")).content)
    made = import_poses(path)
    (found,) = made.recording.people
    truth = person().to(HALPE_26)
    assert found.skeleton is HALPE_26
    assert found.xyz_m is not None and truth.xyz_m is not None and found.root_m is not None
    knee = HALPE_26.index("left_knee")
    hips = truth.xyz_m[:, HALPE_26.index("hip_center")]
    np.testing.assert_allclose(found.xyz_m[:, knee], truth.xyz_m[:, knee] - hips, atol=2e-5)
    assert found.root_m[:, 1].min() < found.root_m[0, 1] - 0.2  # the hips go down, the feet stay
    np.testing.assert_allclose(found.time_s, truth.time_s, atol=2e-6)
    report = analyze(made.recording)
    assert (report.movement, report.complete, report.view) == ("squat", COUNT, "side")


def test_all_markers_round_trip_in_their_own_skeleton(tmp_path: Path) -> None:
    path = tmp_path / "all.trc"
    path.write_bytes(export_poses(squats(), "trc", ExportOptions(markers="all")).content)
    found = import_poses(path).recording.people[0]
    assert found.skeleton is person().skeleton


def test_axes_of_a_z_up_laboratory(tmp_path: Path) -> None:
    text = export_poses(squats(), "trc").content.decode().split("\n")
    rows = []
    for line in text[6:-1]:
        cells = line.split("\t")
        for n in range(2, len(cells), 3):  # y up to z up: (x, -z, y)
            x, y, z = cells[n : n + 3]
            cells[n : n + 3] = [x, f"{-float(z):.6f}" if z else "", y]
        rows.append("\t".join(cells))
    path = write(tmp_path / "zup.trc", "\n".join([*text[:6], *rows, ""]))
    turned = import_poses(path, ImportOptions(up="z")).recording.people[0]
    plain = import_poses(write(tmp_path / "yup.trc", "\n".join(text))).recording.people[0]
    assert turned.xyz_m is not None and plain.xyz_m is not None
    np.testing.assert_allclose(turned.xyz_m, plain.xyz_m, atol=1e-6)


def test_turning_people_shows_them_from_another_side(tmp_path: Path) -> None:
    path = tmp_path / "side.trc"
    path.write_bytes(export_poses(squats("right"), "trc", ExportOptions(origin="floor")).content)
    views = {}
    for turn in (0.0, -90.0):
        views[turn] = analyze(import_poses(path, ImportOptions(turn_deg=turn)).recording).view
    assert views == {0.0: "side", -90.0: "front"}


def test_sports2d_files_in_pixels_and_on_the_plane(tmp_path: Path) -> None:
    """Sports2D writes "m" over pixels as well, y down; and gives joints a constant depth in metres."""
    body = person().to(HALPE_26)
    seen = ["left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "neck", "head",
                        "left_shoulder", "right_shoulder", "left_wrist", "right_wrist", "left_elbow", "right_elbow",
                        "left_heel", "right_heel", "left_big_toe", "right_big_toe"]  # fmt: skip
    short = {"left": "L", "right": "R"}

    def trc(scale: float, flip: int, depth: float) -> str:
        names = [short[j.split("_")[0]] + "".join(w.capitalize() for w in j.split("_")[1:]) if "_" in j
                 else j.capitalize() for j in seen]  # fmt: skip
        lines = ["PathFileType\t4\t(X/Y/Z)\tx.trc", "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits",
                 f"30\t30\t{len(body)}\t{len(seen)}\tm", "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\t",
                 "\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(seen) + 1)) + "\t"]  # fmt: skip
        for number, second in enumerate(body.time_s):
            cells = [f"{body[j][number, 0] * scale}\t{flip * body[j][number, 1] * scale}\t{depth * (n % 3)}"
                     for n, j in enumerate(seen)]  # fmt: skip
            lines.append(f"{number}\t{second}\t" + "\t".join(cells))
        return "\n".join(lines) + "\n"

    pixels = import_poses(write(tmp_path / "clip_px_person00.trc", trc(1, 1, 0))).recording
    near(pixels.people[0], "left_knee", person(), 1e-6)
    plane = import_poses(write(tmp_path / "clip_m_person00.trc", trc(0.004, -1, 0.1)))
    assert any("plane" in note for note in plane.notes)
    assert plane.recording.people[0].xyz_m is None
    for recording in (pixels, plane.recording):
        report = analyze(recording)
        assert (report.movement, report.complete) == ("squat", COUNT)


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet"])
def test_our_own_files_come_back(tmp_path: Path, suffix: str) -> None:
    recording = squats()
    path = tmp_path / f"poses.{suffix}"
    path.write_bytes(export_poses(recording, suffix).content)
    made = import_poses(path, ImportOptions(size="640x480"))
    assert made.file_format == "kinoscope"
    (found,) = made.recording.people
    np.testing.assert_allclose(found.xy_px, recording.people[0].xy_px, atol=0.006)
    np.testing.assert_allclose(found.time_s, recording.time_s, atol=1e-9)
    assert found.xyz_m is not None
    assert found.image_size == SIZE


def test_a_clip_gives_times_size_and_pictures(tmp_path: Path) -> None:
    from tests.pipeline.movements.analysed_runs import plain_clip

    recording = squats()
    clip = plain_clip(tmp_path / "clip.mp4", recording, SIZE)
    path = write(tmp_path / "pose.csv", samples.mediapipe_wide(person()))
    run = import_run(path, RunStore(tmp_path / "runs"), ImportOptions(), clip, "squats.csv")
    found = run.recording().people[0]
    np.testing.assert_allclose(found.time_s, recording.time_s, atol=1e-3)
    assert found.image_size == SIZE
    assert run.source is not None
    assert run.missing() == ""
    short = plain_clip(tmp_path / "short.mp4", Recording((), recording.time_s[:5]), SIZE)
    with pytest.raises(ExchangeError, match="the clip has 5"):
        import_poses(path, ImportOptions(), short)


@pytest.mark.parametrize(("kind", "usual"), [("mmpose", 1), ("openpose", 0)])
def test_frames_that_begin_late_stay_where_they_are_in_the_clip(tmp_path: Path, kind: str, usual: int) -> None:
    """Numbers count from 0 or 1, however late the first person comes; without the clip nobody knows what was before."""
    from tests.pipeline.movements.analysed_runs import plain_clip

    late, begin = person().select(slice(10, 16)), 10 + usual
    clip = plain_clip(tmp_path / "clip.mp4", Recording((), person().time_s[:20]), SIZE)
    if kind == "mmpose":
        path = write(tmp_path / "late.json", samples.mmpose(late, first=begin))
    else:
        path = samples.openpose(late, tmp_path / "json")
        for file in sorted(path.iterdir(), reverse=True):
            file.rename(path / f"clip_{int(file.stem.split('_')[1]) + begin:012d}_keypoints.json")
    (found,) = import_poses(path, clip=clip).recording.people
    assert (len(found), list(np.flatnonzero(found.seen))) == (20, list(range(10, 16)))
    (alone,) = import_poses(path, FPS_ONLY).recording.people
    assert list(np.flatnonzero(alone.seen)) == list(range(6))


def test_key_points_are_found_in_the_boxes_of_mmdet(tmp_path: Path) -> None:
    spec = ActorSpec.one(
        "squat", repetitions=1, view="oblique", fps=6, size=(240, 180), seed=2, lead_in_s=0.3, lead_out_s=0.1
    )
    truth = render_clip(spec, tmp_path / "clip.mp4").recording.people[0]
    folder = tmp_path / "preds"
    folder.mkdir()
    nothing = [[2, 2, 40, 60], [100, 10, 220, 170]]  # a wall, and a chair
    for number, points in enumerate(truth.xy_px):
        box = [*np.nanmin(points, axis=0) - 4, *np.nanmax(points, axis=0) + 4]
        frame = {"labels": [0, 0, 56], "scores": [0.9, 0.8, 0.9], "bboxes": [box, *nothing]}
        write(folder / f"{number:06d}.json", frame)
    run = import_run(folder, RunStore(tmp_path / "runs"), clip=tmp_path / "clip.mp4")
    (found,) = run.recording().people
    assert found.frames_seen == len(truth) == len(found)
    apart = np.linalg.norm(found["left_knee"] - truth["left_knee"], axis=1)
    assert np.median(apart) < 0.03 * 180
    assert (run.manifest.model["detector"], run.manifest.parameters["imported"]) == ("boxes of the file", "mmdet")
    assert "in the boxes of the file" in run.manifest.parameters["notes"][0]
    empty = [{"labels": [], "scores": [], "bboxes": []}] * 3
    path = write(tmp_path / "empty.json", empty)
    assert import_poses(path, clip=tmp_path / "clip.mp4").recording.people == ()
    with pytest.raises(ExchangeError, match="the clip has"):
        import_poses(write(tmp_path / "long.json", empty * 200), clip=tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    "wrong", [{"bboxes": [[1, 2, 3]]}, {"bboxes": "x"}, {"labels": []}, {"labels": [0, 0]}, {"scores": [None, 1]}, 3]
)
def test_damaged_boxes_are_one_sentence(wrong: object) -> None:
    good = {"labels": [0], "scores": [0.9], "bboxes": [[0, 0, 9, 9]]}
    document = good | wrong if isinstance(wrong, dict) else wrong
    with pytest.raises(ExchangeError, match="export"):
        read_mmdet([good, document], [0, 1])
    unknown = good | {"bboxes": [[0, 0, None, 9]]}
    assert [len(found) for found in read_mmdet([good, unknown], [4, 5]).values()] == [1, 0]


def test_an_imported_run_is_a_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    options = ImportOptions(fps=FPS, subject="P01", tags=("lab",))
    run = import_run(samples.openpose(person(), tmp_path / "json"), store, options)
    manifest = run.manifest
    assert (manifest.subject, manifest.tags, manifest.frames) == ("P01", ["lab"], len(person()))
    assert manifest.parameters["imported"] == "openpose"
    assert manifest.source["fps"] == FPS
    assert len(manifest.source["sha256"]) == 64
    assert "--fps 30.0" in manifest.command
    assert run.source is None
    assert "imported" in run.missing()
    assert (run.folder / "thumbnail.jpg").stat().st_size > 1000
    assert store.runs() == [run]


def test_nobody_in_the_file_is_an_ordinary_run(tmp_path: Path) -> None:
    empty = {"instance_info": [{"frame_id": n, "instances": []} for n in range(4)]}
    run = import_run(write(tmp_path / "none.json", empty), RunStore(tmp_path / "runs"), FPS_ONLY)
    assert run.manifest.people == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", "{}", "no pose file"),
        ("a.json", "[[]]", "--fps"),
        ("a.json", '{"instance_info": 3}', "no list of frames"),
        ("a.json", '{"people": [{"pose_keypoints_2d": [1, 2]}]}', "triples"),
        ("a.json", '{"people": [{"pose_keypoints_2d": [1, 2, 3, 4, 5, 6]}]}', "2 points"),
        ("a.json", '{"labels": [0], "scores": [0.9], "bboxes": [[0, 0, 5, 5]]}', r"boxes without key points.*--clip"),
        ("a.json", '{"schema_version": 99, "people": []}', "newer"),
        ("a.json", '{"schema_version": 1, "people": [1]}', "lacks parts"),
        ("a.trc", "hello", "Frame#"),
        ("a.trc", "PathFileType\nx\ny\nFrame#\tTime\tA\t\t\n\t\tX1\tY1\tZ1\n", "no frames"),
        ("a.trc", "PathFileType\nx\ny\nFrame#\tTime\tA\t\t\n\t\tX1\tY1\tZ1\n1\t0\tq\t1\t1\n", "'q'"),
        ("a.trc", "PathFileType\nx\ny\nFrame#\tTime\tA\t\t\n\t\tX1\tY1\tZ1\n1\t0\t1\t1\t1\n", "no joints"),
        (
            "a.trc",
            "PathFileType\nx\ny\nFrame#\tTime\tLKnee\n\t\tX1\tY1\tZ1\n1\t0\t1\t1\t1\n",
            r"Too few.*\(LKnee\); hips",
        ),
        ("a.c3d", "nonsense", "no C3D"),
        ("a.c3d", "\x02\x50nonsense", "cannot be read"),
        ("a.csv", "", "no table"),
        ("a.csv", "a,b\n1,2\n", "no columns"),
        ("a.csv", "frame,landmark,x,y\n0,tail,1,2\n", "tail"),
        ("a.csv", "frame,landmark,x,y\n0,0,1,two\n", "'two'"),
        ("a.csv", "landmark,x,y\n0,1,2\n", "no frame column"),
        ("a.parquet", "PAR1", "Parquet"),
    ],
)
def test_bad_files_are_one_sentence(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=words):
        import_poses(path)


def test_bad_options_and_missing_files(tmp_path: Path) -> None:
    for settings in ({"fps": 0}, {"fps": -1.0}, {"units": "feet"}, {"up": "x"}, {"size": "big"}, {"size": "0x10"}):
        with pytest.raises(ExchangeError):
            ImportOptions(**settings)  # type: ignore[arg-type]
    with pytest.raises(ExchangeError, match="no file"):
        import_poses(tmp_path / "gone.json")
    with pytest.raises(ExchangeError, match="no JSON files"):
        import_poses(tmp_path)
    with pytest.raises(ExchangeError, match="No file"):
        import_poses([])
    path = write(tmp_path / "a.json", samples.mmpose(person()))
    with pytest.raises(ExchangeError, match="--fps"):
        import_poses(path)
    with pytest.raises(ExchangeError, match="no format"):
        import_poses(path, ImportOptions(file_format="vicon"))


def test_orders_name_real_joints() -> None:
    for count, joints in ORDERS.items():
        assert len(joints) == count or count == 136
        assert len(set(joints)) == len(joints)
        assert skeleton_for(joints) is not None
    assert skeleton_for(("C7", "T10")) is None
    assert len(random_sequence().skeleton) in ORDERS
