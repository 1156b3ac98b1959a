"""Which exercise the scoring's ``auto`` takes a clip for: ``python -m benchmarks.auto_exercise [--poses DIR]``.

Writes ``benchmarks/auto_exercise.md``. First what Exercise Recognition calls UI-PRMD's sets (six repetitions of one
person, joined, from simulated video; its own training had these people), then the private clips through the chain,
without pictures. Needs the private test data (KINOSCOPE_DATA).
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.movements import poses_of
from benchmarks.people import table
from pipeline import settings
from pipeline.estimation.registry import create_estimator
from pipeline.movements.recognize import by_network
from pipeline.scoring.assess import NAMED_FROM, NEVER_SCORED, ChainOptions, assess
from pipeline.training.lifted import seen_by_a_camera
from pipeline.training.motion_data import Motion, load

OUT = Path(__file__).with_suffix(".md")
TOGETHER = 6  # repetitions of a set
HZ = 30.0


def joined(motions: list[Motion]) -> Motion:
    """The repetitions one after the other."""
    xyz, root = (np.concatenate([getattr(one, name) for one in motions]) for name in ("xyz_m", "root_m"))
    return replace(motions[0], time_s=np.arange(len(xyz)) / HZ, xyz_m=xyz, root_m=root, frame_label=None)


def called(draws: int, seed: int) -> tuple[list[dict[str, str]], list[str], int]:
    """Rows of movement and what it is called, the names of what is never scored, and how many clips."""
    groups: dict[tuple[str, str, str], list[Motion]] = defaultdict(list)
    for motion in load("ui_prmd_kinect"):
        groups[motion.movement, motion.subject, motion.label].append(motion)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    never, rng = [], np.random.default_rng(seed)
    for _ in range(draws):
        for (movement, _, _), group in groups.items():
            some = [group[k] for k in rng.choice(len(group), min(TOGETHER, len(group)), replace=False)]
            seen = seen_by_a_camera(joined(some), rng)
            if seen is None:
                continue
            guess = by_network(seen)
            found[movement][guess.movement] += 1
            if guess.movement in NEVER_SCORED:
                never.append(f"{movement}: {guess.movement} ({guess.confidence:.2f})")
    names = sorted({name for row in found.values() for name in row})
    rows = [{"UI-PRMD": movement} | {name: str(row[name]) for name in names} for movement, row in found.items()]
    return rows, never, sum(row.total() for row in found.values())


def clips(cache: Path) -> list[dict[str, str]]:
    """The private clips of exercises and daily life, and what the chain says."""
    media = settings.data_dir() / "media"
    rows = []
    for entry in csv.DictReader((media / "manifest.csv").open()):
        if entry["category"] in ("fall", "multi_person") or entry["path"].endswith((".jpg", ".jpeg", ".png")):
            continue
        poses = poses_of(media / entry["path"], cache, entry["path"], lambda: create_estimator("blazepose", threads=1))
        said = assess(poses, ChainOptions())
        score = "" if said.score is None else f"{said.score:.2f}"
        rows.append({"clip": Path(entry["path"]).stem, "exercise": entry["exercise"], "taken for": said.exercise,
                     "score": score, "refusal": " ".join(said.refusal)[:80]})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=3, help="of every person, movement and label")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--poses", type=Path, help="folder of recordings (FOLDER__FILE.json)")
    chosen = parser.parse_args()
    rows, never, count = called(chosen.draws, chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        shown = clips(chosen.poses or Path(folder))
    text = f"""# Which exercise `auto` takes a clip for

Made by `python -m benchmarks.auto_exercise --draws {chosen.draws} --seed {chosen.seed}`; private test data.

## What Exercise Recognition calls {count} sets of UI-PRMD from simulated video

{table(rows)}

Of them {len(never)} have the name of an exercise that is never scored; from a confidence of {NAMED_FROM} on such a name
refuses. {"; ".join(never) or "None"}.

## The private clips through the chain, without pictures

{table(shown)}
"""
    OUT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
