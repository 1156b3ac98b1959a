"""The squat: depth, knees, trunk, heels, symmetry.

What counts as a fault follows the back squat assessment of Myer et al. 2014 (Strength Cond. J. 36(6):4-27): thighs at
least parallel, trunk as upright as the shins, heels on the floor, knees over the feet, shoulders and hips level. It
names no degrees; where a limit is none of the cited numbers, its source says on what it was set.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from pipeline.movements.base import Measured, Metric, Movement, Rule, RuleParameters
from pipeline.movements.common import (
    HIPS,
    SHOULDERS,
    by_side,
    change_of_line,
    difference_of_sides,
    lean_at_turn,
    tempo_metrics,
    trunk_lean,
)
from pipeline.movements.geometry import SIDES, Estimate, Side, Unmeasurable, Window
from pipeline.poses import Array

FOOT_LENGTH = 0.40  # heel to toes in trunk lengths (median of BlazePose's points, ViewParameters.foot_length)
FOOT_BIAS_DEG = (
    4.0  # the models' heels and toes move by this when only the shin leans (clips with heels down: -7 to 13)
)
MOST_TURNED_DEG = 35.0  # turned further, thigh and foot of one side point across the camera's view
TURNED_DEG = 30.0  # error of the knee's direction against the foot's at 45 degrees of turn: one side looks flattened
STAGGERED = 0.1  # trunk lengths by which one foot or knee may be in front of the other
HIPS_BACK = 0.4  # trunk lengths by which the hips go back in a squat; an oblique view shows it as a shift to the side
_FORESHORTENED_DEG = 8.0  # an angle from a shortened length is off by up to 10 degrees by perspective (actor)


@dataclass(frozen=True)
class SquatParameters(RuleParameters):
    """When a squat is called faulty.

    thigh_deg: thigh above the horizontal at the lowest point; parallel is 0, and the models place the hip joint high,
        so that thighs that look level measure 10 to 15.
    knee_deg: inner angle of the knee at the lowest point; the floor's rule asks for less than 90.
    knee_inward_deg: knees turned in, against the direction of the feet.
    knee_valgus_deg: frontal-plane projection angle; the knee inside the line from hip to ankle.
    knee_separation: knees' distance over ankles' distance; under 1 the knees are closer together than the ankles.
    lean_deg: trunk from the vertical at the lowest point.
    lean_over_shin_deg: trunk leaning more than the shins.
    shoulder_ahead: shoulders in front of the ankles, in trunk lengths; balance needs them over the feet.
    heel_rise_deg: the foot's sole turns up at the heel, against standing.
    shoulder_tilt_deg: the line of the shoulders tilts at the lowest point, against standing.
    hip_shift: the hips move to one side at the lowest point, in trunk lengths, against standing.
    asymmetry_deg: one thigh is lower than the other.
    """

    thigh_deg: float = 30.0
    knee_deg: float = 90.0
    knee_inward_deg: float = 10.0
    knee_valgus_deg: float = 10.0
    knee_separation: float = 0.8
    lean_deg: float = 55.0
    lean_over_shin_deg: float = 45.0
    shoulder_ahead: float = 0.75
    heel_rise_deg: float = 14.0
    shoulder_tilt_deg: float = 6.0
    hip_shift: float = 0.10
    asymmetry_deg: float = 12.0


PRESETS = MappingProxyType(
    {
        "beginner": SquatParameters(
            thigh_deg=38.0, knee_deg=100.0, knee_inward_deg=15.0, knee_valgus_deg=13.0, knee_separation=0.7,
            lean_deg=62.0, lean_over_shin_deg=50.0, shoulder_ahead=0.9, heel_rise_deg=19.0, shoulder_tilt_deg=8.0,
            hip_shift=0.14, asymmetry_deg=16.0,
        ),
        "standard": SquatParameters(),
        "strict": SquatParameters(
            thigh_deg=15.0, knee_deg=85.0, knee_inward_deg=6.0, knee_valgus_deg=8.0, knee_separation=1.0,
            lean_deg=48.0, lean_over_shin_deg=33.0, shoulder_ahead=0.6, heel_rise_deg=10.0, shoulder_tilt_deg=4.0,
            hip_shift=0.07, asymmetry_deg=8.0,
        ),
    }
)  # fmt: skip


def effort(window: Window) -> Array:
    """(T,) how far the hips are below their highest place, in trunk lengths."""
    height = window.heights(*HIPS) - window.heights(*(window.ankle(side) for side in SIDES))
    return np.asarray(np.nanmax(height) - height) if np.isfinite(height).any() else height


def leg(window: Window, side: Side) -> tuple[str, str, str]:
    return f"{side}_hip", f"{side}_knee", window.ankle(side)


def thigh(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """Degrees of the thigh above the horizontal at the lowest point; negative when the hip is below the knee.

    From the side it is the angle in the picture. From the front the thigh points at the camera; the angle then follows
    from how much shorter than its full length the thigh looks: arcsin of its height over its length.
    """
    hip, knee, _ = leg(window, side)
    joints = (hip, knee)
    if window.space or window.sees_sagittal(0.77):
        if window.view == "side":
            window.whole("sagittal", (hip,), (knee,), window.bottom)
        lean, error = window.inclination("sagittal", (knee,), (hip,))
        return window.at(np.asarray(90.0 - np.abs(lean)), error, joints, window.bottom), joints
    window.clarity(joints, window.bottom)
    height = window.heights(hip) - window.heights(knee)
    length = window.full_length(hip, knee)
    sine = np.clip(height / length, -1, 1)
    noise = np.degrees(window.height_error(hip, knee) / length / np.sqrt(np.maximum(1 - sine**2, 0.05)))
    angle: Array = np.degrees(np.arcsin(sine))
    return window.at(angle, np.hypot(noise, _FORESHORTENED_DEG), joints, window.bottom), joints


def knee(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """Inner angle of the knee at the lowest point."""
    joints = leg(window, side)
    if window.view == "side":
        window.whole("sagittal", joints[:1], joints[1:2], window.bottom)
        window.whole("sagittal", joints[1:2], joints[2:], window.bottom)
    value, error = window.bend("sagittal", *joints)
    return window.at(value, error, joints, window.bottom), joints


def knee_inward(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """By how many degrees the thigh points further inwards than the foot, seen from above.

    The knee should stay over the foot (knee-medial-to-foot is the clinical sign: Ageberg et al. 2010, BMC
    Musculoskelet. Disord. 11:265), whatever the stance. From the front, what the thigh's length in the picture lacks
    points at the camera; so its direction is atan2(sideways, towards the camera), and that of the foot arcsin of its
    width over its length. Taken between 30 and 65 degrees of the thigh from the vertical: above, the thigh has no
    direction; at the bottom the angle depends on depth more than on the knee (Uhlár et al. 2021, Appl. Sci. 11).
    """
    hip, knee_joint, _ = leg(window, side)
    toe, heel = window.toe(side), window.joint(f"{side}_heel")
    joints = (hip, knee_joint, heel, toe)
    outwards = 1 if side == "left" else -1
    frontal = window.plane("frontal")
    drop = window.heights(hip) - window.heights(knee_joint)
    if window.space:
        ahead, aside = window.level(hip, knee_joint, outwards)
        length = np.sqrt(aside**2 + ahead**2 + drop**2)
        foot = np.degrees(np.arctan2(*window.level(heel, toe, outwards)[::-1]))
    else:
        if frontal.cotangent > np.tan(np.radians(MOST_TURNED_DEG)):
            raise Unmeasurable("it needs a view from the front; this one is too oblique")
        # In the camera's own axes: the turn of the person moves thigh and foot alike, and falls out of the difference.
        aside = outwards * (window.track("frontal", knee_joint) - window.track("frontal", hip))[:, 0] / frontal.stretch
        length = np.full(len(window), window.full_length(hip, knee_joint))
        ahead = np.sqrt(np.maximum(length**2 - aside**2 - drop**2, 0.0))
        width = outwards * (window.track("frontal", toe) - window.track("frontal", heel))[:, 0] / frontal.stretch
        foot = np.degrees(np.arcsin(np.clip(width / FOOT_LENGTH, -1, 1)))
    direction = np.degrees(np.arctan2(aside, ahead))
    inclination = np.degrees(np.arccos(np.clip(drop / length, -1, 1)))
    moving = (inclination >= 30) & (inclination <= 65)
    if moving.sum() < 3:
        raise Unmeasurable("the thigh is hardly seen on its way down and up")
    noise = np.degrees(np.sqrt(2) * np.nanmedian(frontal.error) / (length * np.sin(np.radians(45))))
    return window.at(foot - direction, np.hypot(noise, TURNED_DEG * frontal.cotangent), joints, moving), joints


def knee_valgus(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """Frontal-plane projection angle: the knee inside the line from hip to ankle, in degrees (outside is negative).

    The largest between standing and thighs at 65 degrees; definition of Willson et al. 2006 and Munro et al. 2012.
    """
    joints = leg(window, side)
    hip, knee_joint, ankle = joints
    outwards = 1 if side == "left" else -1
    upper, upper_error = window.inclination("frontal", (knee_joint,), (hip,))
    lower, lower_error = window.inclination("frontal", (ankle,), (knee_joint,))
    height = (window.heights(hip) - window.heights(knee_joint)) / window.full_length(hip, knee_joint)
    moving = (height > np.cos(np.radians(65))) & (height < np.cos(np.radians(25)))
    if moving.sum() < 3:
        raise Unmeasurable("the thigh is hardly seen on its way down and up")
    value = outwards * (upper - lower)
    feet_seen(window, side)
    return window.at(value, np.hypot(upper_error, lower_error), joints, moving), joints


def feet_seen(window: Window, *sides: Side) -> None:
    """Raises Unmeasurable when the picture cuts the foot off: then the ankle above it is a guess, too."""
    for side in sides:
        for name in (f"{side}_foot_index", f"{side}_big_toe"):
            if name in window.skeleton and not window.space:
                window.inside_picture(name, window.bottom)


def knee_separation(window: Window) -> Measured:
    """Distance of the knees over that of the ankles, at its smallest while the knees are bent."""
    knees, ankles = ("left_knee", "right_knee"), tuple(window.ankle(side) for side in SIDES)
    frontal = window.plane("frontal")
    apart = (window.track("frontal", knees[0]) - window.track("frontal", knees[1]))[:, 0]
    stance = (window.track("frontal", ankles[0]) - window.track("frontal", ankles[1]))[:, 0]
    stance = np.where(stance > 0.15, stance, np.nan)
    drop = effort(window)
    bent = drop > 0.4 * np.nanmax(drop) if np.isfinite(drop).any() else np.zeros(len(window), dtype=bool)
    joints = knees + ankles
    if not np.isfinite(stance).any():
        raise Unmeasurable("the feet are too close together")
    feet_seen(window, *SIDES)
    ratio = apart / stance
    noise = np.sqrt(2) * np.nanmedian(frontal.error) * frontal.stretch / stance * np.hypot(1, ratio)
    error = np.hypot(noise, STAGGERED * frontal.cotangent / stance)
    return {"both": (window.at(ratio, error, joints, bent, "lowest"), joints)}


def lean_over_shin(window: Window) -> Measured:
    """Trunk lean minus shin lean at the lowest point."""
    lean, error = trunk_lean(window)
    shins = []
    for side in window.sides():
        ankle = window.ankle(side)
        window.clarity((f"{side}_knee", ankle), window.bottom)
        shins.append(window.inclination("sagittal", (ankle,), (f"{side}_knee",)))
    shin = np.mean([value for value, _ in shins], axis=0)
    shin_error = np.mean([value for _, value in shins], axis=0)
    joints = SHOULDERS + HIPS + tuple(f"{side}_{part}" for side in window.sides() for part in ("knee", "ankle"))
    seen = tuple(joint for joint in joints if joint in window.skeleton)
    return {"both": (window.at(lean - shin, np.hypot(error, shin_error), SHOULDERS + HIPS, window.bottom), seen)}


def shoulder_ahead(window: Window) -> Measured:
    """How far the middle of the shoulders is in front of the ankles at the lowest point, in trunk lengths."""
    sagittal = window.plane("sagittal")
    ankles = tuple(window.ankle(side) for side in window.sides())
    forwards = (window.track("sagittal", *SHOULDERS) - window.track("sagittal", *ankles))[:, 0]
    window.clarity(ankles, window.bottom)
    error = np.nanmedian(sagittal.error) * sagittal.stretch + np.abs(forwards) * np.radians(12) * sagittal.cotangent
    joints = SHOULDERS + ankles
    return {"both": (window.at(forwards, error, joints, window.bottom), joints)}


def heel_rise(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """By how many degrees the sole turns up at the heel at the lowest point, against where the repetition begins.

    From an angle a foot that points another way than before looks turned up, too; there the heel itself must also be
    higher in the picture than it was, and the smaller of the two angles counts.
    """
    heel, toe = window.joint(f"{side}_heel"), window.toe(side)
    joints = (heel, toe)
    sagittal = window.plane("sagittal")
    if window.view == "side":
        window.whole("sagittal", (f"{side}_knee",), (window.ankle(side),), window.bottom)
    window.whole("sagittal", (heel,), (toe,), window.bottom)
    vector = window.track("sagittal", heel) - window.track("sagittal", toe)
    pitch = np.degrees(np.arctan2(vector[:, 1], np.maximum(-vector[:, 0], 1e-6)))
    length = np.maximum(np.nanmedian(np.linalg.norm(vector, axis=1)), 1e-6)
    standing = pitch[window.rest]
    if not np.isfinite(standing).any():
        raise Unmeasurable("the feet were not seen while standing")
    columns = [window.skeleton.index(name) for name in joints]
    noise = np.degrees(np.sqrt((sagittal.error[:, columns] ** 2).sum(axis=1)) / length) / 2
    noise = np.hypot(noise, FOOT_BIAS_DEG)
    rise = pitch - np.nanmedian(standing)
    if window.view == "oblique":
        height = window.heights(heel)
        lift = (height - np.nanmedian(height[window.rest])) / length
        rise = np.minimum(rise, np.degrees(np.arcsin(np.clip(lift, -1, 1))))
    return window.at(rise, noise, joints, window.bottom), joints


def knees_past_toes(window: Window, side: Side) -> tuple[Estimate, tuple[str, ...]]:
    """How far the knee is in front of the toes at the lowest point, in percent of the trunk; information only.

    Keeping the knees back only moves the load to hips and back (Fry et al. 2003, J. Strength Cond. Res. 17:629).
    """
    knee_joint, toe = f"{side}_knee", window.toe(side)
    sagittal = window.plane("sagittal")
    ahead = 100 * (window.track("sagittal", knee_joint) - window.track("sagittal", toe))[:, 0]
    error = 100 * np.sqrt(2) * np.nanmedian(sagittal.error) * sagittal.stretch
    joints = (knee_joint, toe)
    return window.at(ahead, error, joints, window.bottom), joints


def shoulder_tilt(window: Window) -> Measured:
    return change_of_line(window, ("right_shoulder", "left_shoulder"))


def hip_shift(window: Window) -> Measured:
    """How far the hips move to one side of the ankles at the lowest point, against standing, in trunk lengths."""
    frontal = window.plane("frontal")
    ankles = tuple(window.ankle(side) for side in SIDES)
    window.clarity(ankles, window.bottom)
    place = (window.track("frontal", *HIPS) - window.track("frontal", *ankles))[:, 0]
    standing = place[window.rest]
    if not np.isfinite(standing).any():
        raise Unmeasurable("the beginning of the repetition was not seen")
    joints = HIPS + ankles
    feet_seen(window, *SIDES)
    error = np.hypot(np.nanmedian(frontal.error) * frontal.stretch, HIPS_BACK * frontal.cotangent)
    found = window.at(place - np.nanmedian(standing), error, joints, window.bottom)
    return {"both": (Estimate(abs(found.value), found.error, found.time_s, found.clarity), joints)}


METRICS = (
    Metric("thigh_deg", "depth (thigh against the horizontal)", "°", by_side(thigh), 15.0),
    Metric("knee_deg", "knee angle", "°", by_side(knee), 15.0),
    Metric("knee_inward_deg", "knees over the feet", "°", by_side(knee_inward), 12.0),
    Metric("knee_valgus_deg", "knee alignment (frontal-plane projection angle)", "°", by_side(knee_valgus), 12.0),
    Metric("knee_separation_ratio", "knee-to-ankle separation", "", knee_separation, 0.4),
    Metric("lean_deg", "trunk lean", "°", lean_at_turn, 12.0),
    Metric("lean_over_shin_deg", "trunk lean against the shins", "°", lean_over_shin, 15.0),
    Metric("shoulder_ahead_trunks", "shoulders over the ankles", "trunk lengths", shoulder_ahead, 0.25),
    Metric("heel_rise_deg", "heels on the floor", "°", by_side(heel_rise), 12.0),
    Metric("knees_past_toes_percent", "knees past the toes", "% of the trunk", by_side(knees_past_toes), 20.0, True),
    Metric("shoulder_tilt_deg", "shoulder level", "°", shoulder_tilt, 8.0),
    Metric("hip_shift_trunks", "hip shift", "trunk lengths", hip_shift, 0.12),
    Metric("asymmetry_deg", "left/right symmetry", "°", difference_of_sides(thigh), 15.0),
    *tempo_metrics(("down", "pause", "up")),
)

_MYER = "Myer et al. 2014, Strength Cond. J. 36(6):4-27, for the rule"
_CLIPS = "the number was set on clips and on the rendered actor"
RULES = (
    Rule("shallow", "not deep enough", "thigh_deg", "thigh_deg", True, 15.0,
         f"{_MYER} (thighs at least parallel); {_CLIPS}, since pose models place the hip 10 to 15° high",
         "Sit lower, until your thighs are level with the floor, as long as your back stays flat."),
    Rule("shallow", "knees not bent enough", "knee_deg", "knee_deg", True, 12.0,
         "the floor's rule: knee angle under 90°",
         "Bend your knees to less than a right angle at the lowest point."),
    Rule("knees_in", "knees turn inwards", "knee_inward_deg", "knee_inward_deg", True, 8.0,
         f"knee over foot: Ageberg et al. 2010, BMC Musculoskelet. Disord. 11:265; {_CLIPS}",
         "Push your knees out, in the direction of your toes.", "each"),
    Rule("knees_in", "knees fall inwards", "knee_valgus_deg", "knee_valgus_deg", True, 8.0,
         "single-leg mini squats with the knee over the foot show 5.0° on average, with it inside 11.6°: Ageberg "
         "et al. 2010, BMC Musculoskelet. Disord. 11:265; landings from a jump 3 to 8° (men) and 7 to 13° (women): "
         "Herrington and Munro 2010, Phys. Ther. Sport 11:56; the limit was set between these",
         "Push your knees out, over your feet.", "each"),
    Rule("knees_in", "knees closer together than the feet", "knee_separation_ratio", "knee_separation", False, 0.15,
         "the knee-to-ankle separation ratio of Ortiz et al. 2016, Open Access J. Sports Med. 7:65, who name no limit "
         "that could be checked; under 1 the knees are inside the ankles, and the margin below was set on clips",
         "Push your knees out, over your feet."),
    Rule("forward_lean", "trunk leans far forward", "lean_deg", "lean_deg", True, 8.0, f"{_MYER}; {_CLIPS}",
         "Keep your chest up and sit down between your heels."),
    Rule("forward_lean", "trunk leans much more than the shins", "lean_over_shin_deg", "lean_over_shin_deg", True, 8.0,
         f"{_MYER} (trunk parallel to the shins); {_CLIPS}",
         "Keep your chest up, and let your knees come forward with your hips."),
    Rule("forward_lean", "shoulders far in front of the feet", "shoulder_ahead_trunks", "shoulder_ahead", True, 0.15,
         f"load over the middle of the foot; {_CLIPS}",
         "Keep your shoulders over your feet."),
    Rule("heels_up", "heels leave the floor", "heel_rise_deg", "heel_rise_deg", True, 10.0, f"{_MYER}; {_CLIPS}",
         "Keep your weight over the whole foot; a small plate under the heels helps stiff ankles."),
    Rule("asymmetric", "shoulders not level", "shoulder_tilt_deg", "shoulder_tilt_deg", True, 4.0,
         f"{_MYER}; {_CLIPS}", "Keep both shoulders at the same height."),
    Rule("asymmetric", "hips move to one side", "hip_shift_trunks", "hip_shift", True, 0.06, f"{_MYER}; {_CLIPS}",
         "Put the same weight on both feet, and go straight down."),
    Rule("asymmetric", "one side lower than the other", "asymmetry_deg", "asymmetry_deg", True, 8.0,
         f"{_MYER}; {_CLIPS}", "Bend both legs alike."),
)  # fmt: skip

SQUAT = Movement(
    "squat",
    "squat",
    effort,
    curves=("left_knee_flexion", "right_knee_flexion", "left_hip_flexion", "right_hip_flexion", "trunk"),
    metrics=METRICS,
    rules=RULES,
    least=0.15,
    presets=PRESETS,
)
