"""The exercises that can be scored, their free joints, and the seven bands of the score.

The ten movements are those of UI-PRMD (Vakanski, Jun, Paul and Baker 2018, Data 3(1):2). A free joint may do what it
likes: it is hidden from the scorer and from the derived target.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.skeletons import KINECT_13

# The head is free everywhere: sensors and pose models mark it at different places (its top, its middle, the ears).
ARMS = ("head", "left_elbow", "right_elbow", "left_hand", "right_hand")
LEGS = ("head", "left_knee", "right_knee", "left_foot", "right_foot")
WORST_SCORE = 4.0


@dataclass(frozen=True)
class Exercise:
    """A movement of UI-PRMD.

    Attributes:
        number: 1 to 10, as in the data set.
        name: for the command line and files.
        label: for people.
        free: joints of KINECT_13 that do not count.
        rules: the movement of ``pipeline.movements`` whose rules say more about it; empty where there is none.
    """

    number: int
    name: str
    label: str
    free: tuple[str, ...]
    rules: str = ""

    @property
    def position(self) -> int:
        """Its place in the networks' list of exercises."""
        return self.number - 1

    @property
    def counted(self) -> tuple[int, ...]:
        """Positions in KINECT_13 of the joints that count."""
        return tuple(k for k, joint in enumerate(KINECT_13.joints) if joint not in self.free)


EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for exercise in (
        Exercise(1, "deep_squat", "deep squat", ARMS, "squat"),
        Exercise(2, "hurdle_step", "hurdle step", ARMS),
        Exercise(3, "inline_lunge", "inline lunge", ARMS, "lunge"),
        Exercise(4, "side_lunge", "side lunge", ARMS),
        Exercise(5, "sit_to_stand", "sit to stand", ARMS),
        Exercise(6, "leg_raise", "standing active straight leg raise", ARMS),
        Exercise(7, "shoulder_abduction", "standing shoulder abduction", LEGS),
        Exercise(8, "shoulder_extension", "standing shoulder extension", LEGS),
        Exercise(9, "shoulder_rotation", "standing shoulder internal-external rotation", LEGS),
        Exercise(10, "shoulder_scaption", "standing shoulder scaption", LEGS),
    )
}
BY_NUMBER = {exercise.number: exercise for exercise in EXERCISES.values()}

# upper edge of each band but the last, and its name
BAND_EDGES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
BANDS = ("excellent", "very good", "good", "fair", "weak", "poor", "very poor")


def band(score: float) -> str:
    """The name of the band that a score of 0.0 (perfect) to 4.0 (worst) lies in; an edge belongs to the worse one."""
    return BANDS[sum(score >= edge for edge in BAND_EDGES)]


def exercise_named(name: str) -> Exercise:
    """An exercise by its name. Raises ValueError that lists what there is."""
    try:
        return EXERCISES[name]
    except KeyError:
        raise ValueError(f"There is no exercise {name!r} to score; there are {', '.join(EXERCISES)}.") from None
