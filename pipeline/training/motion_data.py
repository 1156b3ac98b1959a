"""Recorded human motion as Kinect-13 skeletons: one loader for seven public data sets.

All sequences come out in the frame of the house: metres, hip-centred, x to the image's right, y up, z towards the
camera (right-handed), so that somebody who faces the camera has the anatomical left at larger x. Data sets with another
frame are *turned*, never mirrored (``bends`` proves it on the joints themselves). The data is private and stays in
``settings.data_dir()``; its READMEs say where it comes from and under which licence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline import settings
from pipeline.poses import Array
from pipeline.skeletons import KINECT_13

UI_PRMD_MOVEMENTS = (
    "deep squat", "hurdle step", "inline lunge", "side lunge", "sit to stand", "standing active straight leg raise",
    "standing shoulder abduction", "standing shoulder extension", "standing shoulder internal-external rotation",
    "standing shoulder scaption",
)  # fmt: skip
IRDS_MOVEMENTS = (
    "elbow flexion left", "elbow flexion right", "shoulder flexion left", "shoulder flexion right",
    "shoulder abduction left", "shoulder abduction right", "shoulder forward elevation", "side tap left",
    "side tap right",
)  # fmt: skip
MSR_MOVEMENTS = (
    "high arm wave", "horizontal arm wave", "hammer", "hand catch", "forward punch", "high throw", "draw x",
    "draw tick", "draw circle", "hand clap", "two hand wave", "side boxing", "bend", "forward kick", "side kick",
    "jogging", "tennis swing", "tennis serve", "golf swing", "pick up and throw",
)  # fmt: skip
PRECOG_ACTIONS = (
    "", "right punch", "back fist", "left punch", "side right kick", "front right kick", "front left kick",
    "side left kick", "elbow strike",
)  # fmt: skip
CMU_EXERCISES = (
    "", "jumping jack", "jog", "squat", "knee raise", "arm circle", "twist", "side reach", "box", "up down",
    "toe touch one hand", "side bend", "toe touch two hands",
)  # fmt: skip
# Looked at once, at the very end, and never trained on.
HELD_OUT: dict[str, frozenset[str]] = {
    "ui_prmd_kinect": frozenset({"9"}),
    "ui_prmd_vicon": frozenset({"9"}),
    "hdm05": frozenset({"tr"}),
}
_LEFT_HIP, _RIGHT_HIP = KINECT_13.index("left_hip"), KINECT_13.index("right_hip")


class MotionDataError(ValueError):
    """No such data set, or it is not on this machine."""


@dataclass(frozen=True, eq=False)
class Motion:
    """One recorded sequence.

    source: the data set, a name in ``DATA_SETS``; subject: who, unique within it.
    movement: what is done; "" where the data set does not say, or it changes (then see ``frame_label``).
    label: "correct" or "incorrect" where executions were judged, else "".
    time_s: (T,) from 0; xyz_m: (T, 13, 3) hip-centred, NaN where the sensor lost a joint; name: of the sequence.
    root_m: (T, 3) the hip centre in the sensor's place (y from the floor for motion capture, from the sensor for a
        Kinect); frame_label: the movement of every frame, "" between movements; None where nobody labelled frames.
    """

    source: str
    subject: str
    movement: str
    label: str
    time_s: Array
    xyz_m: Array
    name: str
    root_m: Array
    frame_label: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.time_s)


def load(name: str, subjects: Iterable[str] | None = None, data: Path | None = None) -> list[Motion]:
    """The sequences of one data set.

    Args:
        name: one of ``DATA_SETS``.
        subjects: which; None is everybody who may be trained on (all but ``HELD_OUT``).
        data: the folder of the private data; None is ``settings.data_dir()``.

    Raises:
        MotionDataError: no such data set or subject, or the data is not there.
    """
    if name not in DATA_SETS:
        raise MotionDataError(f"There is no data set {name!r}; choose one of: {', '.join(DATA_SETS)}.")
    motions = _load(name, Path(data or settings.data_dir()))
    if subjects is None:
        held = HELD_OUT.get(name, frozenset())
        return [motion for motion in motions if motion.subject not in held]
    wanted = set(subjects)
    if unknown := wanted - {motion.subject for motion in motions}:
        known = ", ".join(sorted({motion.subject for motion in motions}))
        raise MotionDataError(f"{name} has no subject {', '.join(sorted(unknown))}; it has {known}.")
    return [motion for motion in motions if motion.subject in wanted]


@lru_cache(maxsize=16)
def _load(name: str, data: Path) -> tuple[Motion, ...]:
    reader, file = DATA_SETS[name]
    path = data / "data" / file
    if not path.is_file():
        raise MotionDataError(f"{name} is not on this machine ({path}); set KINOSCOPE_DATA to the folder that has it.")
    with np.load(path) as stored:
        return tuple(reader(name, {key: stored[key] for key in stored.files}, path))


def bends(xyz_m: Array, least_m: float = 0.06) -> float:
    """How far bent knees stand in front of the line from hip to ankle, on average, in metres: above 0 on a body.

    Knees bend forwards, and in a right-handed frame leftward x up is forwards. A mirrored body gives a negative number
    however it is turned, so this tells a mirror image from a turn.

    Args:
        xyz_m: (T, 13, 3) Kinect-13.
        least_m: knees nearer to the line are straight and say nothing.

    Returns:
        Metres; NaN when no knee was bent.
    """
    point = {joint: xyz_m[:, number] for number, joint in enumerate(KINECT_13.joints)}
    hips = point["left_hip"] - point["right_hip"]
    up = (point["left_shoulder"] + point["right_shoulder"] - point["left_hip"] - point["right_hip"]) / 2
    forward = _towards(np.cross(hips, up))
    found = []
    for side in ("left", "right"):
        hip, foot = point[f"{side}_hip"], point[f"{side}_foot"]
        line = _towards(foot - hip)
        knee = point[f"{side}_knee"] - hip
        knee = knee - (knee * line).sum(axis=1, keepdims=True) * line
        found.append((knee * forward).sum(axis=1)[np.linalg.norm(knee, axis=1) >= least_m])
    bent = np.concatenate(found)
    bent = bent[np.isfinite(bent)]
    return float(bent.mean()) if len(bent) else float("nan")


def turned(xyz_m: Array, yaw_rad: float) -> Array:
    """Points (..., 3) turned about the vertical by ``yaw_rad``; a turn never mirrors."""
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    matrix = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return np.asarray(xyz_m @ matrix.T)


# --- the data sets --------------------------------------------------------------------------------------------------


def _motion(
    source: str, subject: str, movement: str, label: str, time_s: Array, points_m: Array, name: str,
    frame_label: tuple[str, ...] | None = None,
) -> Motion:  # fmt: skip
    root = (points_m[:, _LEFT_HIP] + points_m[:, _RIGHT_HIP]) / 2
    xyz = points_m - root[:, None]
    for array in (time_s, xyz, root):
        array.setflags(write=False)
    return Motion(source, subject, movement, label, time_s, xyz, name, root, frame_label)


def _facing_first(points_m: Array) -> Array:
    """The points turned about the vertical so that the body faces the camera in its first seen frame."""
    across = points_m[:, _LEFT_HIP] - points_m[:, _RIGHT_HIP]
    seen = np.flatnonzero(np.isfinite(across).all(axis=1))
    if not len(seen):
        return points_m
    x, _, z = across[seen[0]]
    return turned(points_m, float(np.arctan2(z, x)))


def _spans(stored: dict[str, np.ndarray]) -> Iterator[tuple[int, slice]]:
    offset = stored["offset"]
    for number in range(len(offset) - 1):
        yield number, slice(int(offset[number]), int(offset[number + 1]))


def _picked(points: Array, names: Iterable[str], wanted: Iterable[str]) -> Array:
    """(T, 13, 3) of (T, J, 3): the joints called ``wanted``, in the order of Kinect-13."""
    order = [str(joint) for joint in names]
    return points[:, [order.index(joint) for joint in wanted]]


def _sides(*names: str) -> tuple[str, ...]:
    """A name for every joint of Kinect-13: the first as it is, the others with Left and Right for {}."""
    head, *pairs = names
    return (head, *(pair.format(side) for pair in pairs for side in ("Left", "Right")))


# The hand of Kinect-13 is the wrist, as pose models mark it; its foot is the ankle.
_KINECT = _sides("Head", "Shoulder{}", "Elbow{}", "Wrist{}", "Hip{}", "Knee{}", "Ankle{}")
# UI-PRMD's "head" is the top of the neck, 7 cm above the shoulders; the other sets' Head lies where its head_tip is.
_UI_PRMD = (
    "head_tip", "l_upperarm(shoulder)", "r_upperarm(shoulder)", "l_forearm(elbow)", "r_forearm(elbow)",
    "l_hand(wrist)", "r_hand(wrist)", "l_upperleg(hip)", "r_upperleg(hip)", "l_lowerleg(knee)", "r_lowerleg(knee)",
    "l_foot(ankle)", "r_foot(ankle)",
)  # fmt: skip


def _judged(meta: np.ndarray) -> tuple[str, str, str, str]:
    movement, subject, repetition, label = (int(value) for value in meta)
    judged = "incorrect" if label else "correct"
    name = f"m{movement:02d}_s{subject:02d}_e{repetition:02d}_{judged}"
    return str(subject), UI_PRMD_MOVEMENTS[movement - 1], judged, name


def _ui_prmd_kinect(source: str, stored: dict[str, np.ndarray], _path: Path) -> Iterator[Motion]:
    for number, span in _spans(stored):
        subject, movement, label, name = _judged(stored["meta"][number])
        points = _picked(stored["xyz_i16"][span] * (float(stored["scale_cm"]) / 100), stored["joints"], _UI_PRMD)
        yield _motion(source, subject, movement, label, np.arange(len(points)) / 30.0, points, name)


def _ui_prmd_vicon(source: str, stored: dict[str, np.ndarray], _path: Path) -> Iterator[Motion]:
    fps = float(stored["fps"])
    for number, span in _spans(stored):
        subject, movement, label, name = _judged(stored["meta"][number])
        raw = stored["xyz_i16"][span] * (float(stored["scale_mm"]) / 1000)
        raw[~raw.any(axis=2)] = np.nan
        upright = np.stack([raw[..., 1], raw[..., 2], raw[..., 0]], axis=-1)  # a cyclic exchange of axes is a turn
        markers = {str(marker): upright[:, k] for k, marker in enumerate(stored["markers"])}
        points = _facing_first(_joint_centres(markers))
        yield _motion(source, subject, movement, label, np.arange(len(points)) / fps, points, name)


def _joint_centres(marker: dict[str, Array]) -> Array:
    """(T, 13, 3) joint centres of Plug-in-Gait markers.

    Hips by Bell, Pedersen and Brand (1990): 30 % of the distance between the anterior spines distal, 14 % medial, 22 %
    behind. Knees, ankles and elbows: the middle of the joint by Plug-in-Gait's chord function with typical adult half
    widths. Shoulders: 7 cm below the acromion's marker. Wrists: between the two markers. Head: the markers' middle.
    """
    left_asis, right_asis = marker["LASI"], marker["RASI"]
    across = left_asis - right_asis
    width = np.linalg.norm(across, axis=1, keepdims=True)
    leftward = across / width
    backward = (marker["LPSI"] + marker["RPSI"]) / 2 - (left_asis + right_asis) / 2
    up = np.cross(leftward, backward)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    back = np.cross(up, leftward)
    trunk = (marker["C7"] + marker["CLAV"]) / 2 - (marker["T10"] + marker["STRN"]) / 2
    trunk /= np.linalg.norm(trunk, axis=1, keepdims=True)
    joints: dict[str, Array] = {"head": np.mean([marker[m] for m in ("LFHD", "RFHD", "LBHD", "RBHD")], axis=0)}
    for side, s, inward in (("left", "L", -leftward), ("right", "R", leftward)):
        spine = left_asis if s == "L" else right_asis
        hip = spine + width * (0.14 * inward - 0.30 * up + 0.22 * back)
        knee = _chord(hip, marker[f"{s}KNE"], marker[f"{s}THI"], 0.055)
        shoulder = marker[f"{s}SHO"] - 0.07 * trunk
        wrist = (marker[f"{s}WRA"] + marker[f"{s}WRB"]) / 2
        joints |= {
            f"{side}_hip": hip,
            f"{side}_knee": knee,
            f"{side}_foot": _chord(knee, marker[f"{s}ANK"], marker[f"{s}TIB"], 0.045),
            f"{side}_shoulder": shoulder,
            f"{side}_elbow": marker[f"{s}ELB"] + 0.04 * _towards(shoulder + wrist - 2 * marker[f"{s}ELB"]),
            f"{side}_hand": wrist,
        }
    return np.stack([joints[joint] for joint in KINECT_13.joints], axis=1)


def _towards(vector: Array) -> Array:
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-6))


def _chord(parent: Array, marker: Array, wand: Array, offset_m: float) -> Array:
    """The joint centre: ``offset_m`` from the lateral marker, at a right angle to the parent, away from the wand."""
    along = _towards(parent - marker)
    lateral = wand - marker
    lateral = _towards(lateral - (lateral * along).sum(axis=1, keepdims=True) * along)
    length = np.maximum(np.linalg.norm(parent - marker, axis=1, keepdims=True), 2 * offset_m)
    cosine = offset_m / length
    return np.asarray(marker + offset_m * (cosine * along - np.sqrt(1 - cosine**2) * lateral))


def _mocap(source: str, stored: dict[str, np.ndarray], path: Path) -> Iterator[Motion]:
    is_cmu = source == "cmu"
    points = stored["xyz_i16"] * float(stored["scale_m"])
    order = [str(joint) for joint in stored["joints"]]
    # The files' wrist is the end of the radius bone, 0.185 m from the elbow: too near. The middle of it and the end of
    # the hand lies 0.25 m from the elbow, where a wrist is.
    for side in ("Left", "Right"):
        wrist, hand = order.index(f"Wrist{side}"), order.index(f"Hand{side}")
        points[:, wrist] = (points[:, wrist] + points[:, hand]) / 2
    for number, span in _spans(stored):
        if str(stored["source"][number]).startswith("cmu") != is_cmu:
            continue
        joints = _facing_first(_picked(points[span], order, _KINECT))
        time_s = np.arange(len(joints)) / float(stored["fps"][number])
        name = str(stored["name"][number])
        labels = _cmu_labels(path.parent / "mocap6_truelabels" / f"{name}.txt", time_s) if is_cmu else None
        movement = "" if is_cmu else str(stored["label"][number])
        yield _motion(source, str(stored["subject"][number]), movement, "", time_s, joints, name, labels)


def _cmu_labels(path: Path, time_s: Array) -> tuple[str, ...] | None:
    """The exercise of every frame, from labels of 0.1 s; None for a take without them."""
    if not path.is_file():
        return None
    labels = [CMU_EXERCISES[int(number)] for number in path.read_text(encoding="utf-8").split()]
    return tuple(labels[min(int(time / 0.1 + 1e-6), len(labels) - 1)] for time in time_s)


def _turned_half(points_m: Array) -> Array:
    """Kinect camera space (x to the sensor's left, z away from it) to the house's: half a turn about the vertical."""
    return points_m * np.array([-1.0, 1.0, -1.0])


_KINECT_V1_HIPS = 0.22  # how far its hips lie too high, as a share of hip to knee


def _lowered_hips(points_m: Array) -> Array:
    """Kinect-13 of a first Kinect, which puts the hips near the waist, with hips where all the other sets have them.

    With 0.22, thigh and trunk measure 0.40 and 0.50 m in the median as in HDM05 and CMU, and not 0.51 and 0.39 m.
    """
    points = points_m.copy()
    for side in ("left", "right"):
        hip, knee = KINECT_13.index(f"{side}_hip"), KINECT_13.index(f"{side}_knee")
        points[:, hip] += _KINECT_V1_HIPS * (points[:, knee] - points[:, hip])
    return points


def _kinect_points(stored: dict[str, np.ndarray]) -> Array:
    """(N, J, 3) metres in the house's axes; NaN where the sensor wrote zeros."""
    raw = stored["data_i16"][..., :3]
    return np.where(raw.any(axis=2, keepdims=True), _turned_half(raw * stored["scale"][:3]), np.nan)


def _precog(source: str, stored: dict[str, np.ndarray], _path: Path) -> Iterator[Motion]:
    points = _lowered_hips(_picked(_kinect_points(stored), stored["joints"], _KINECT))
    for number, span in _spans(stored):
        name = str(stored["name"][number])
        labels = tuple(PRECOG_ACTIONS[int(label)] for label in stored["frame_label"][span])
        time_s = np.arange(span.stop - span.start) / 30.0
        yield _motion(source, name.split("_")[1], "", "", time_s, points[span], name, labels)


_MSR_ROWS = (
    "ShoulderLeft", "ShoulderRight", "ShoulderCenter", "Spine", "HipLeft", "HipRight", "HipCenter", "ElbowLeft",
    "ElbowRight", "WristLeft", "WristRight", "HandLeft", "HandRight", "KneeLeft", "KneeRight", "AnkleLeft",
    "AnkleRight", "FootLeft", "FootRight", "Head",
)  # fmt: skip


def _msraction3d(source: str, stored: dict[str, np.ndarray], _path: Path) -> Iterator[Motion]:
    points = _lowered_hips(_picked(_kinect_points(stored), _MSR_ROWS, _KINECT))
    for number, span in _spans(stored):
        name = str(stored["name"][number])
        action, subject = int(name[1:3]), name.split("_")[1][1:].lstrip("0")
        time_s = np.arange(span.stop - span.start) / 15.0
        yield _motion(source, subject, MSR_MOVEMENTS[action - 1], "", time_s, points[span], name)


def _utkinect(source: str, stored: dict[str, np.ndarray], path: Path) -> Iterator[Motion]:
    points = _lowered_hips(_picked(_kinect_points(stored), stored["joints"], _KINECT))
    actions = _utkinect_actions(path.with_name("utkinect_actionLabel.txt"))
    for number, span in _spans(stored):
        name = str(stored["name"][number])
        frames, first = np.unique(stored["frame_no"][span], return_index=True)  # frames that repeat are dropped
        spans = actions.get(name, [])
        labels = tuple(next((a for a, low, high in spans if low <= frame <= high), "") for frame in frames)
        time_s = (frames - frames[0]) / 30.0
        subject = name[1:3].lstrip("0")
        yield _motion(source, subject, "", "", time_s, points[span][first], name, labels)


def _utkinect_actions(path: Path) -> dict[str, list[tuple[str, int, int]]]:
    """{sequence: [(action, first frame, last frame)]}; the action without times is left out."""
    if not path.is_file():
        return {}
    found: dict[str, list[tuple[str, int, int]]] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if ":" not in line:
            name = line.strip() or name
            continue
        action, times = line.split(":")
        numbers = times.split()
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            found.setdefault(name, []).append((action.strip(), int(numbers[0]), int(numbers[1])))
    return found


def _irds(source: str, stored: dict[str, np.ndarray], _path: Path) -> Iterator[Motion]:
    whole = _kinect_points(stored)
    whole[stored["data_i16"][..., 5] == 0] = np.nan  # joints that the sensor did not track
    points = _picked(whole, stored["joints"], _KINECT)
    for number, span in _spans(stored):
        name = str(stored["name"][number])
        subject, _, gesture, _, label, _ = name.split("_")
        milliseconds = stored["time_ms_of_day"][span].astype(np.float64)
        keep = np.concatenate([[True], np.diff(milliseconds) > 0])
        judged = {"1": "correct", "2": "incorrect"}[label]
        time_s = (milliseconds[keep] - milliseconds[0]) / 1000
        yield _motion(source, subject, IRDS_MOVEMENTS[int(gesture)], judged, time_s, points[span][keep], name)


Reader = Callable[[str, dict[str, np.ndarray], Path], Iterator[Motion]]
_MOCAP_FILE = "mocap_kinect20/mocap_kinect20.npz"
DATA_SETS: dict[str, tuple[Reader, str]] = {
    "ui_prmd_kinect": (_ui_prmd_kinect, "ui_prmd/kinect_abs.npz"),
    "ui_prmd_vicon": (_ui_prmd_vicon, "ui_prmd/vicon_markers.npz"),
    "hdm05": (_mocap, _MOCAP_FILE),
    "cmu": (_mocap, _MOCAP_FILE),
    "precog": (_precog, "kinect_sets/precog_kinect20.npz"),
    "msraction3d": (_msraction3d, "kinect_sets/msraction3d_20.npz"),
    "utkinect": (_utkinect, "kinect_sets/utkinect_20.npz"),
    "irds": (_irds, "kinect_sets/irds_kinect25.npz"),
}
