"""The fall classifier: a calibrated random forest over window features, and why it says what it says.

Stored with skops (no pickle) as ``checkpoints/falls.skops``; beside it ``falls.json`` with the feature names, the
calibration and the operating points, each with the false alarms and missed falls that were measured there.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from pipeline import settings
from pipeline.falls.events import Reason
from pipeline.falls.features import FeatureTable
from pipeline.poses import Array

CHECKPOINT = settings.PROJECT_DIR / "checkpoints" / "falls.skops"
SENSITIVITIES = ("very cautious", "cautious", "balanced", "sensitive", "very sensitive")
DEFAULT_SENSITIVITY = "balanced"
_TOLD = 4  # reasons
_TREES = ["sklearn.tree._tree.Tree"]  # arrays of nodes; skops asks to be told that they are expected


class FallModelError(ValueError):
    """The fall classifier cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class OperatingPoint:
    """What to expect at one position of the slider, measured by grouped cross-validation on the training sources.

    threshold: of the smoothed probability. missed: share of falls without an alarm, with its 95 % interval.
    false_alarms_per_h: on ``hours`` of life without falls, with an exact Poisson 95 % interval.
    """

    name: str
    threshold: float
    missed: float
    missed_low: float
    missed_high: float
    falls: int
    false_alarms_per_h: float
    false_alarms_low: float
    false_alarms_high: float
    hours: float

    @property
    def text(self) -> str:
        """One sentence for people."""
        return (
            f"Expect {self.false_alarms_per_h:.1f} false alarms an hour "
            f"(at most {self.false_alarms_high:.1f}, from {self.hours:.1f} hours of life without falls) and "
            f"{100 * self.missed:.0f} % missed falls ({100 * self.missed_low:.0f} to {100 * self.missed_high:.0f} %, "
            f"from {self.falls} falls)."
        )


@dataclass(frozen=True, eq=False)
class FallForest:
    """A trained classifier.

    Attributes:
        forest: of scikit-learn, classes 0 and 1.
        names: its features, in order.
        calibration: (2, K) votes of the forest and the probabilities that they stand for, both rising.
        points: the operating points, most cautious first.
    """

    forest: RandomForestClassifier
    names: tuple[str, ...]
    calibration: Array
    points: tuple[OperatingPoint, ...] = ()

    def votes(self, values: Array) -> Array:
        """(N,) share of the votes for a fall."""
        if not len(values):
            return np.empty(0)
        return np.asarray(self.forest.predict_proba(values)[:, 1])

    def probability(self, table: FeatureTable) -> Array:
        """(N,) calibrated probability that a fall is centred on each moment; NaN where it is not ``witnessed``.

        Raises:
            FallModelError: the table has other features than the forest.
        """
        if table.names != self.names:
            raise FallModelError("The fall model was trained on other features; train it again (train falls).")
        result = np.full(len(table.values), np.nan)
        seen = witnessed(table)
        if seen.any():
            result[seen] = np.interp(self.votes(table.values[seen]), *self.calibration)
        return result

    def point(self, sensitivity: str = DEFAULT_SENSITIVITY) -> OperatingPoint:
        """The operating point of this name. Raises FallModelError that lists the names."""
        for point in self.points:
            if point.name == sensitivity:
                return point
        names = ", ".join(point.name for point in self.points) or "none"
        raise FallModelError(f"there is no sensitivity {sensitivity!r}; choose one of: {names}.")

    def reasons(self, table: FeatureTable, row: int) -> tuple[Reason, ...]:
        """What moved the forest's vote at one moment, most important first.

        Each step down a tree changes the share of falls among the training windows; the change belongs to the feature
        that was asked (Saabas 2014, "Interpreting random forests"). Features that say the same are told together.
        """
        shares = dict(zip(self.names, self._contributions(table.values[row]), strict=True))
        value = dict(zip(table.names, (float(v) for v in table.values[row]), strict=True))
        families: dict[str, list[str]] = {}
        for name in self.names:
            families.setdefault(_family(name), []).append(name)
        total = {family: sum(shares[name] for name in names) for family, names in families.items()}
        told: list[Reason] = []
        for family in sorted(total, key=lambda name: -total[name]):
            if total[family] <= 0.01 or len(told) == _TOLD:
                break
            text = _sentence(family, value)
            if text:
                strongest = max(families[family], key=lambda name: shares[name])
                told.append(Reason(strongest, value[strongest], total[family], text))
        return tuple(told)

    def _contributions(self, row: Array) -> Array:
        given = np.zeros(len(self.names))
        for estimator in self.forest.estimators_:
            tree = estimator.tree_
            share = tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1)
            path = estimator.decision_path(row[None]).indices
            np.add.at(given, tree.feature[path[:-1]], np.diff(share[path]))
        return given / len(self.forest.estimators_)

    def save(self, folder: Path, name: str = "falls", extra: Mapping[str, Any] | None = None) -> None:
        """Write ``NAME.skops`` and ``NAME.json`` into ``folder``."""
        import skops.io  # type: ignore[import-untyped]

        skops.io.dump(self.forest, folder / f"{name}.skops", compression=zipfile.ZIP_DEFLATED, compresslevel=9)
        document = {
            **(extra or {}),
            "features": self.names,
            "calibration": self.calibration.tolist(),
            "operating_points": [asdict(point) for point in self.points],
        }
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def witnessed(table: FeatureTable) -> NDArray[np.bool_]:
    """(N,) whether the person is seen before the moment, at it and after it, without which nothing is claimed.

    Before: at some time 1.5 to 0.5 s earlier. A fall whose beginning nobody saw cannot be told from a burpee, or from
    somebody lying down, that is half done when the clip begins or when the person comes into the picture: on copies of
    the training examples that begin so, it leaves 4 of 26 false alarms (checkpoints/falls.md).
    """
    columns = [
        table.names.index(f"{name}.{phase}")
        for name in ("motion_h_s", "box_height_h")
        for phase in ("before", "drop", "after")
    ]
    return np.isfinite(table.values[:, columns]).all(axis=1)


@lru_cache(maxsize=4)
def load_forest(path: Path = CHECKPOINT) -> FallForest:
    """The trained classifier.

    Raises:
        FallModelError: it is not there, is damaged, or holds types that nobody should load.
    """
    import skops.io

    try:
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        unknown = sorted(set(skops.io.get_untrusted_types(file=path)) - set(_TREES))
        if unknown:
            raise FallModelError(f"{path.name} holds types that are not to be trusted: {', '.join(unknown)}.")
        forest = skops.io.load(path, trusted=_TREES)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, FallModelError):
            raise
        raise FallModelError(
            f"The fall model {path.name} cannot be read ({error}); restore checkpoints/ or train it again."
        ) from error
    forest.set_params(n_jobs=1)
    return FallForest(
        forest,
        tuple(document["features"]),
        np.array(document["calibration"]),
        tuple(OperatingPoint(**point) for point in document["operating_points"]),
    )


# --- words ----------------------------------------------------------------------------------------------------------

_FAMILIES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("trunk", ("trunk_", "shoulder_x", "shoulder_y", "head_x", "head_y", "head_over_hip")),
    ("head", ("head_", "shoulder_")),
    ("hip", ("hip_drop", "hip_fall", "hip_rise", "hip_y", "hip_x", "middle_")),
    ("still", ("motion_", "stillness")),
    ("outline", ("box_", "extent")),
    ("legs", ("hip_flexion", "hip_over", "knee_", "thigh_", "foot_", "lowest_")),
    ("arms", ("hand_", "elbow_")),
    ("seen", ("confidence", "missing")),
    ("travel", ("travel",)),
)


def _family(name: str) -> str:
    if name.startswith("head_over_foot"):
        return "head"
    return next(family for family, starts in _FAMILIES if name.startswith(starts))


def _sentence(family: str, value: Mapping[str, float]) -> str:
    """A family of features in words with its numbers; empty when they are unknown."""
    sentences = {
        "trunk": ("trunk tilted from {0:.0f} to {1:.0f} degrees from upright, at up to {2:.0f} degrees a second",
                  ("trunk_deg.before", "trunk_deg.after", "trunk_rate_deg_s")),
        "head": ("head came down by {0:.2f} of body height, at up to {1:.1f} body heights a second",
                 ("head_drop_h", "head_fall_speed_h_s")),
        "hip": ("hips came down by {0:.2f} of body height, at up to {1:.1f} body heights a second",
                ("hip_drop_h", "hip_fall_speed_h_s")),
        "still": ("movement went from {0:.1f} during the drop to {1:.1f} body heights a second after it",
                  ("motion_h_s.drop", "motion_h_s.after")),
        "outline": ("outline went from {0:.2f} to {1:.2f} body heights tall",
                    ("box_height_h.before", "box_height_h.after")),
        "legs": ("hips went from {0:.2f} to {1:.2f} body heights above the ankles",
                 ("hip_over_foot_h.before", "hip_over_foot_h.after")),
        "arms": ("hands went from {0:.2f} to {1:.2f} body heights above the ankles",
                 ("hand_over_foot_h.before", "hand_over_foot_h.after")),
        "seen": ("{0:.0%} of the joints were out of sight before, {1:.0%} after", ("missing.before", "missing.after")),
        "travel": ("body moved {0:.2f} body heights sideways within a second", ("travel_h",)),
    }  # fmt: skip
    text, names = sentences[family]
    numbers = [value[name] for name in names]
    return text.format(*numbers) if np.isfinite(numbers).all() else ""
