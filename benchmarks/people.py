"""How many people are found, how many are invented, and whether ids stay: writes benchmarks/people.md.

    python -m benchmarks.people

Needs the private test data (KINOSCOPE_DATA).
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline import settings
from pipeline.estimation.base import Estimator, Image, PersonPose
from pipeline.estimation.topdown import WORKING_POINTS, create_blazepose
from pipeline.media import read_frames
from pipeline.poses import PoseSequence
from pipeline.skeletons import COCO_17

HERE = Path(__file__).parent
CLIPS_WITHOUT_PEOPLE = {  # path: frames without anybody (first, last)
    "robustness/nobody_drone.mp4": (0, 326),
    "robustness/porch_person_leaves_then_empty.mp4": (143, 314),
    "adl/walking_side_in_and_out.mp4": (350, 400),
}


def media() -> Path:
    folder = settings.data_dir() / "media"
    if not (folder / "manifest.csv").is_file():
        sys.exit(f"The private test data is not here (KINOSCOPE_DATA={settings.data_dir()}).")
    return folder


def coco_keypoints(pose: PersonPose) -> np.ndarray:
    """(17, 3) x, y, score in COCO's order."""
    from pipeline.skeletons import BLAZEPOSE_33

    single = PoseSequence(BLAZEPOSE_33, np.zeros(1), pose.xy_px[None], pose.score[None], None, (0, 0)).to(COCO_17)
    return np.concatenate([single.xy_px[0], single.score[0][:, None]], axis=1)


def photographs() -> Iterator[tuple[str, str, Image]]:
    with (media() / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            if row["category"] in ("photos_coco_val2017", "photos_nobody"):
                image = next(iter(read_frames(media() / row["path"]))).image
                yield row["category"], Path(row["path"]).name, image


def photograph_row(name: str, estimator: Estimator) -> dict[str, Any]:
    """Official COCO key-point AP and AR, people found at OKS 0.5, ghosts, milliseconds a photograph."""
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    annotations = media() / "photos_coco_val2017" / "person_keypoints_subset.json"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
    ids = {image["file_name"]: image["id"] for image in truth.dataset["images"]}
    people = sum(not a["iscrowd"] for a in truth.dataset["annotations"] if a["image_id"] in ids.values())
    results, ghosts, ghost_photographs, seconds, count = [], 0, 0, 0.0, 0
    for category, file_name, image in photographs():
        estimator.reset()
        started = time.perf_counter()
        poses = estimator.update(image, 0.0)
        seconds += time.perf_counter() - started
        count += 1
        if category == "photos_nobody":
            ghosts += len(poses)
            ghost_photographs += bool(poses)
            continue
        for pose in poses:
            keypoints = coco_keypoints(pose)
            results.append(
                {
                    "image_id": ids[file_name],
                    "category_id": 1,
                    "keypoints": keypoints.ravel().tolist(),
                    "score": float(keypoints[:, 2].mean()),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        sigmas = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints", sigmas)
        evaluation.params.imgIds = list(ids.values())
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found = sum(
        int((image["dtMatches"][0] > 0).sum())
        for image in evaluation.evalImgs
        if image is not None and image["aRng"] == evaluation.params.areaRng[0]
    )
    return {
        "working point": name,
        "AP": f"{evaluation.stats[0]:.3f}",
        "AP at OKS 0.5": f"{evaluation.stats[1]:.3f}",
        "AR": f"{evaluation.stats[5]:.3f}",
        f"people found (of {people})": found,
        "detections": len(results),
        "ghosts on 8 empty photographs": f"{ghosts} (on {ghost_photographs})",
        "ms a photograph": f"{1000 * seconds / count:.0f}",
    }


def ghost_row(name: str, estimator: Estimator) -> dict[str, Any]:
    """People reported in frames without anybody."""
    row: dict[str, Any] = {"working point": name}
    for path, (first, last) in CLIPS_WITHOUT_PEOPLE.items():
        recording = estimator.estimate(read_frames(media() / path))
        seen = sum(int(p.seen[first : last + 1].sum()) for p in recording.people)
        row[Path(path).stem] = f"{seen} in {last - first + 1} frames"
    return row


def identity_rows(name: str, estimator: Estimator) -> Iterator[dict[str, Any]]:
    """Against torso centres read by eye: matched within one torso length, a switch is a change of the matched id."""
    clips = json.loads((HERE / "torso_centres.json").read_text())["clips"]
    for path, frames in clips.items():
        recording = estimator.estimate(read_frames(media() / path))
        last: dict[str, int] = {}
        covered = expected = switches = extra = 0
        for number, truth in frames.items():
            frame = int(number)
            here = {who: np.array(place) for who, place in truth.items() if place is not None}
            centers, sizes, ids = [], [], []
            for person in recording.people:
                joints = np.stack(
                    [person[f"{side}_{part}"][frame] for part in ("shoulder", "hip") for side in ("left", "right")]
                )
                if np.isfinite(joints).all():
                    centers.append(joints.mean(axis=0))
                    sizes.append(float(np.linalg.norm(joints[:2].mean(axis=0) - joints[2:].mean(axis=0))))
                    ids.append(person.person)
            expected += len(here)
            if not centers:
                continue
            cost = np.array([[np.linalg.norm(c - place) / max(s, 20.0) for c, s in zip(centers, sizes, strict=True)]
                             for place in here.values()])  # fmt: skip
            rows, columns = linear_sum_assignment(np.minimum(cost, 10))
            matched = 0
            for i, j in zip(rows, columns, strict=True):
                if cost[i, j] <= 1.0:
                    who = list(here)[i]
                    covered += 1
                    matched += 1
                    switches += who in last and last[who] != ids[j]
                    last[who] = ids[j]
            extra += len(ids) - matched
        yield {
            "working point": name,
            "clip": Path(path).stem,
            "person-frames found": f"{covered} of {expected} ({100 * covered / expected:.0f} %)",
            "id switches": switches,
            "others reported": extra,
        }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    lines += [f"| {' | '.join(str(row[key]) for key in head)} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    photographs_, ghosts, identities = [], [], []
    for name, parameters in WORKING_POINTS.items():
        estimator = create_blazepose(parameters)
        photographs_.append(photograph_row(name, estimator))
        ghosts.append(ghost_row(name, estimator))
        identities += list(identity_rows(name, estimator))
    text = f"""# People found, ghosts and ids (BlazePose)

Made by `python -m benchmarks.people` on {platform.machine()}, {len(WORKING_POINTS)} working points; private test data.

## Photographs (32 of COCO val2017, official key-point evaluation, and 8 with nobody)

"auto" uses *thorough* for pictures and *balanced* for clips.

{table(photographs_)}

## Frames without anybody in three clips

{table(ghosts)}

## Ids in four clips with two people (torso centres read by eye every 10 frames, `torso_centres.json`)

{table(identities)}
"""
    (HERE / "people.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
