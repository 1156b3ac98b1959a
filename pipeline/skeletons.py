"""The skeletons of the house as data: joint names, bones, left/right pairs, and how one maps to another.

Joint names are shared by all skeletons, so most of a mapping falls out of the names; what does not is in
``SUBSTITUTES``. Left and right are the person's own (anatomical) sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise


@dataclass(frozen=True)
class Skeleton:
    """Names of the joints, the bones that join them, and which joints are each other's mirror image.

    Attributes:
        name: short identifier, unique among ``SKELETONS``.
        joints: J joint names.
        bones: pairs of joint names to draw as limbs.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"skeleton {self.name!r}: joint names must be unique, got {self.joints}")
        unknown = {joint for bone in self.bones for joint in bone} - set(self.joints)
        if unknown:
            raise ValueError(f"skeleton {self.name!r}: bones name joints it does not have: {sorted(unknown)}")

    def __len__(self) -> int:
        return len(self.joints)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {joint: number for number, joint in enumerate(self.joints)}

    def __contains__(self, joint: object) -> bool:
        return joint in self._index

    def index(self, joint: str) -> int:
        """Position of ``joint``; raises KeyError that lists the joints there are."""
        try:
            return self._index[joint]
        except KeyError:
            raise KeyError(f"skeleton {self.name!r} has no joint {joint!r}; it has: {', '.join(self.joints)}") from None

    @cached_property
    def bone_indices(self) -> tuple[tuple[int, int], ...]:
        """The bones as pairs of joint positions."""
        return tuple((self._index[a], self._index[b]) for a, b in self.bones)

    @cached_property
    def left_right(self) -> tuple[tuple[int, int], ...]:
        """Pairs (left position, right position) of the joints that have a mirror image."""
        return tuple(
            (number, self._index[other])
            for joint, number in self._index.items()
            if is_left(joint) and (other := other_side(joint)) in self._index
        )

    @cached_property
    def mirror_order(self) -> tuple[int, ...]:
        """Joint order after left and right are exchanged: ``xy[:, mirror_order]``."""
        order = list(range(len(self.joints)))
        for left, right in self.left_right:
            order[left], order[right] = right, left
        return tuple(order)


def is_left(joint: str) -> bool:
    """True for a joint of the person's left side."""
    return joint.startswith("left_") or joint.endswith("_left")


def is_right(joint: str) -> bool:
    """True for a joint of the person's right side."""
    return joint.startswith("right_") or joint.endswith("_right")


def other_side(joint: str) -> str:
    """The same joint on the other side; the joint itself where it has none."""
    if is_left(joint):
        return joint.replace("left", "right")
    return joint.replace("right", "left") if is_right(joint) else joint


def _both_sides(*bones: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(bone for a, b in bones for bone in ((a, b), (other_side(a), other_side(b))))


_LIMBS = _both_sides(
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("left_shoulder", "left_hip"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
) + (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
_FACE = _both_sides(("nose", "left_eye"), ("left_eye", "left_ear"))

COCO_17 = Skeleton(
    "coco17",
    (
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    _LIMBS + _FACE,
)

HALPE_26 = Skeleton(  # COCO-17 with feet
    "halpe26",
    (
        *COCO_17.joints,
        *("head", "neck", "hip_center", "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe"),
        *("left_heel", "right_heel"),
    ),
    _LIMBS
    + _FACE
    + (("head", "neck"), ("neck", "hip_center"))
    + _both_sides(
        ("left_ankle", "left_heel"), ("left_heel", "left_big_toe"), ("left_ankle", "left_big_toe"),
        ("left_big_toe", "left_small_toe"),
    ),
)  # fmt: skip

BLAZEPOSE_33 = Skeleton(
    "blazepose33",
    (
        *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
        *("left_ear", "right_ear", "mouth_left", "mouth_right"),
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
        *("left_heel", "right_heel", "left_foot_index", "right_foot_index"),
    ),
    _LIMBS
    + _FACE
    + (("mouth_left", "mouth_right"),)
    + _both_sides(
        ("left_wrist", "left_thumb"), ("left_wrist", "left_index"), ("left_wrist", "left_pinky"),
        ("left_ankle", "left_heel"), ("left_heel", "left_foot_index"), ("left_ankle", "left_foot_index"),
    ),
)  # fmt: skip

KINECT_13 = Skeleton(
    "kinect13",
    (
        *("head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_hand", "right_hand"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_foot", "right_foot"),
    ),
    _both_sides(
        ("head", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_hand"),
        ("left_shoulder", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_foot"),
    ) + (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
)  # fmt: skip

_KINECT_TRUNK = (("head", "shoulder_center"), ("shoulder_center", "spine"), ("spine", "hip_center"))
_KINECT_LIMBS = _both_sides(
    ("shoulder_center", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("hip_center", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("left_ankle", "left_foot"),
)  # fmt: skip

KINECT_20 = Skeleton(  # Kinect v1 order
    "kinect20",
    (
        *("hip_center", "spine", "shoulder_center", "head"),
        *("left_shoulder", "left_elbow", "left_wrist", "left_hand"),
        *("right_shoulder", "right_elbow", "right_wrist", "right_hand"),
        *("left_hip", "left_knee", "left_ankle", "left_foot"),
        *("right_hip", "right_knee", "right_ankle", "right_foot"),
    ),
    _KINECT_TRUNK + _KINECT_LIMBS + _both_sides(("left_wrist", "left_hand")),
)

UI_PRMD_22 = Skeleton(  # the Kinect skeleton of the UI-PRMD rehabilitation set, its "waist" named hip_center
    "uiprmd22",
    (
        *("hip_center", "spine", "shoulder_center", "neck", "head", "head_top"),
        *("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
        *("right_collar", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_hip", "left_knee", "left_ankle", "left_foot"),
        *("right_hip", "right_knee", "right_ankle", "right_foot"),
    ),
    (("head_top", "head"), ("head", "neck"), ("neck", "shoulder_center"))
    + _KINECT_TRUNK[1:]
    + _both_sides(("shoulder_center", "left_collar"), ("left_collar", "left_shoulder"))
    + _KINECT_LIMBS[2:],
)


def _chain(*joints: str) -> tuple[tuple[str, str], ...]:
    """Bones from each joint to the next."""
    return tuple(pairwise(joints))


# The 68 face points of iBUG 300-W, in its order: the jaw from the person's right ear to the left one, then brows,
# nose, lids and lips. Numbers run outwards to inwards, so that a point and its mirror image share theirs.
_FACE_68 = (
    *(f"right_jaw_{n}" for n in range(1, 9)), "chin", *(f"left_jaw_{n}" for n in range(8, 0, -1)),
    *(f"right_brow_{n}" for n in range(1, 6)), *(f"left_brow_{n}" for n in range(5, 0, -1)),
    *(f"nose_bridge_{n}" for n in range(1, 5)),
    *("right_nostril_1", "right_nostril_2", "nose_base", "left_nostril_2", "left_nostril_1"),
    *(f"right_lid_{n}" for n in (1, 2, 3, 4, 5, 6)), *(f"left_lid_{n}" for n in (4, 3, 2, 1, 6, 5)),
    *("right_lip_1", "right_lip_2", "right_lip_3", "upper_lip", "left_lip_3", "left_lip_2", "left_lip_1"),
    *("left_lip_4", "left_lip_5", "lower_lip", "right_lip_5", "right_lip_4"),
    *("right_lip_6", "right_lip_7", "upper_lip_inner", "left_lip_7", "left_lip_6"),
    *("left_lip_8", "lower_lip_inner", "right_lip_8"),
)  # fmt: skip
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")


def _hand(side: str) -> tuple[str, ...]:
    return (f"{side}_hand_root", *(f"{side}_{finger}_{n}" for finger in _FINGERS for n in range(1, 5)))


COCO_WHOLEBODY_133 = Skeleton(  # body, feet, face, hands; order of COCO-WholeBody (Jin et al. 2020)
    "coco_wholebody133",
    (*COCO_17.joints, *_FEET, *_FACE_68, *_hand("left"), *_hand("right")),
    _LIMBS
    + _FACE
    + _both_sides(
        ("left_ankle", "left_heel"), ("left_heel", "left_big_toe"), ("left_ankle", "left_big_toe"),
        ("left_big_toe", "left_small_toe"), ("left_wrist", "left_hand_root"),
    )
    + _chain(*_FACE_68[:17])
    + _chain(*_FACE_68[17:22])
    + _chain(*_FACE_68[22:27])
    + _chain(*_FACE_68[27:31])
    + _chain(*_FACE_68[31:36])
    + _chain(*_FACE_68[36:42], _FACE_68[36])
    + _chain(*_FACE_68[42:48], _FACE_68[42])
    + _chain(*_FACE_68[48:60], _FACE_68[48])
    + _chain(*_FACE_68[60:68], _FACE_68[60])
    + tuple(
        bone
        for side in ("left", "right")
        for finger in _FINGERS
        for bone in _chain(f"{side}_hand_root", *(f"{side}_{finger}_{n}" for n in range(1, 5)))
    ),
)  # fmt: skip

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (COCO_17, HALPE_26, COCO_WHOLEBODY_133, BLAZEPOSE_33, KINECT_13, KINECT_20, UI_PRMD_22)
}

# What stands for a joint that a skeleton does not have: the first row whose joints are all there, averaged.
SUBSTITUTES: dict[str, tuple[tuple[str, ...], ...]] = {
    "head": (("left_ear", "right_ear"), ("nose",)),
    "neck": (("shoulder_center",), ("left_shoulder", "right_shoulder")),
    "shoulder_center": (("neck",), ("left_shoulder", "right_shoulder")),
    "spine": (("left_shoulder", "right_shoulder", "left_hip", "right_hip"),),
    "hip_center": (("left_hip", "right_hip"),),
    "left_collar": (("shoulder_center",), ("left_shoulder", "right_shoulder")),
    "left_hand": (("left_wrist",),),
    "left_wrist": (("left_hand",),),
    "left_ankle": (("left_foot",),),
    "left_big_toe": (("left_foot_index",),),
    "left_foot_index": (("left_big_toe",),),
}
# Kinect-13's foot is the end of the shank; the other Kinect skeletons have an ankle and a toe-side foot.
_SUBSTITUTES_TO_KINECT_13 = {"left_foot": (("left_ankle",),)}
_SUBSTITUTES_TO_FEET = {"left_foot": (("left_foot_index",), ("left_big_toe",))}


def _substitutes(joint: str, target: Skeleton) -> tuple[tuple[str, ...], ...]:
    table = SUBSTITUTES | (_SUBSTITUTES_TO_KINECT_13 if target is KINECT_13 else _SUBSTITUTES_TO_FEET)
    if joint in table:
        return table[joint]
    return tuple(tuple(other_side(j) for j in row) for row in table.get(other_side(joint), ()))


@lru_cache(maxsize=64)
def mapping(source: Skeleton, target: Skeleton) -> tuple[tuple[int, ...], ...]:
    """For each joint of ``target``, the positions in ``source`` to average; empty where there is nothing.

    A joint of the same name comes first, except that Kinect-13's foot is an ankle wherever there is one, and
    that no ankle is taken from a toe-side foot.
    """
    rows = []
    for joint in target.joints:
        candidates = _substitutes(joint, target)
        foot = joint.endswith("_foot")
        if joint in source and not (foot and (source is KINECT_13) != (target is KINECT_13)):
            candidates = ((joint,),)
        if joint.endswith("_ankle") and joint not in source and source is not KINECT_13:
            candidates = ()
        row = next((row for row in candidates if all(j in source for j in row)), ())
        rows.append(tuple(source.index(j) for j in row))
    return tuple(rows)
