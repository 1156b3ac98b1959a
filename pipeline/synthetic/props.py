"""The objects that belong to a motion: chair, bench, bars, dumbbells, something to pick up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.poses import Array
from pipeline.skeletons import BLAZEPOSE_33
from pipeline.synthetic.body import rotation
from pipeline.synthetic.daily import CHAIR_HEIGHT_M
from pipeline.synthetic.exercises import BENCH_HEIGHT_M, bar_height_m
from pipeline.synthetic.motions import MOTIONS, Truth
from pipeline.synthetic.stage import Faces, box, placed, rod

_STEEL, _IRON, _WOOD, _PADDING, _BALL = (168, 172, 178), (52, 54, 58), (150, 108, 70), (58, 60, 66), (206, 92, 48)


def objects_of(truths: Sequence[Truth]) -> Callable[[int], Sequence[Faces]]:
    """The pieces that stand or move in the room at a frame, for everybody's motion."""
    still = [piece for truth in truths for piece in _still(truth)]
    moving = [truth for truth in truths if {"dumbbells", "barbell"} & set(MOTIONS[truth.actor.motion].props)]

    def at(frame: int) -> Sequence[Faces]:
        return still + [piece for truth in moving for piece in _in_hands(truth, frame)]

    return at


def _still(truth: Truth) -> list[Faces]:
    """What stands where the person is, turned as the person faces."""
    actor, props = truth.actor, MOTIONS[truth.actor.motion].props
    height = actor.build.height_m
    pieces: list[Faces] = []
    if "chair" in props:
        seat, behind = CHAIR_HEIGHT_M, -0.13 * height
        pieces.append(box((-0.22, seat - 0.04, behind - 0.42), (0.22, seat, behind), _WOOD))
        pieces += [
            box((x - 0.02, 0.0, z - 0.02), (x + 0.02, seat - 0.04, z + 0.02), _IRON)
            for x in (-0.19, 0.19)
            for z in (behind - 0.39, behind - 0.03)
        ]
        pieces.append(box((-0.21, seat + 0.12, behind - 0.45), (0.21, seat + 0.42, behind - 0.42), _WOOD))
    if "bench" in props:
        top = BENCH_HEIGHT_M
        pieces.append(box((-0.14, top - 0.07, -0.47 * height), (0.14, top, 0.03 * height), _PADDING))
        pieces += [
            box((-0.12, 0.0, z - 0.03), (0.12, top - 0.07, z + 0.03), _IRON) for z in (-0.41 * height, -0.03 * height)
        ]
    if "high_bar" in props:
        bar, half = bar_height_m(height), 0.42 * height
        pieces.append(rod(np.array([-half, bar, 0.0]), np.array([half, bar, 0.0]), 0.016, _STEEL))
        pieces += [rod(np.array([x, bar, 0.0]), np.array([x, bar + 1.2, 0.0]), 0.02, _IRON, 0.2) for x in (-half, half)]
    if "object" in props:
        x, z = -0.075 * height, 0.285 * height
        pieces.append(box((x - 0.045, 0.0, z - 0.045), (x + 0.045, 0.09, z + 0.045), _BALL))
    turn = rotation(actor.facing_deg)
    return [placed(piece, turn, actor.place_m) for piece in pieces]


def _in_hands(truth: Truth, frame: int) -> list[Faces]:
    """Dumbbells or a barbell where the hands are."""
    props = MOTIONS[truth.actor.motion].props

    def joint(name: str) -> Array:
        found: Array = truth.joints_m[frame, BLAZEPOSE_33.index(name)]
        return found

    grips = {side: (joint(f"{side}_wrist") + joint(f"{side}_index")) / 2 for side in ("left", "right")}
    if "barbell" in props:
        along = grips["left"] - grips["right"]
        along = along / max(float(np.linalg.norm(along)), 1e-9)
        middle = (grips["left"] + grips["right"]) / 2
        pieces = [rod(middle - 0.62 * along, middle + 0.62 * along, 0.013, _STEEL, 0.08)]
        return pieces + [
            rod(middle + sign * 0.50 * along, middle + sign * 0.56 * along, 0.10, _IRON, 0.06) for sign in (-1.0, 1.0)
        ]
    pieces = []
    for side, grip in grips.items():
        along = joint(f"{side}_thumb") - joint(f"{side}_pinky")
        along = along / max(float(np.linalg.norm(along)), 1e-9)
        pieces.append(rod(grip - 0.08 * along, grip + 0.08 * along, 0.014, _STEEL))
        pieces += [
            rod(grip + sign * 0.055 * along, grip + sign * 0.105 * along, 0.042, _IRON, 0.05) for sign in (-1.0, 1.0)
        ]
    return pieces
