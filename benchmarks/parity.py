"""Both engines held against each other, and RTMDet against annotated photographs: benchmarks/parity.md.

    python -m benchmarks.parity [--pairs 200] [--models rtmpose-t rtmpose-s rtmpose-m] [--write]

Needs the private photographs (KINOSCOPE_DATA). Weights: seeded random ones for RTMPose, the real ones of
``rtmdet_nano_raw_heads.onnx`` for RTMDet in both engines. ``rtmlib`` joins the detector's table where it is installed.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import torch

from benchmarks.people import table
from pipeline import settings
from pipeline.estimation.base import Image, Region
from pipeline.estimation.export import export_network, weights_from_onnx
from pipeline.estimation.mmpose_models import MMDetDetector, MMPoseKeypoints
from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx, crop, crop_matrix, normalise
from pipeline.estimation.registry import config_path, entry
from pipeline.estimation.tracking import overlap
from pipeline.poses import Array

HERE = Path(__file__).parent
PHOTOS = settings.data_dir() / "media/photos_coco_val2017"
DETECTORS = settings.data_dir() / "models"
FILE = "rtmdet_nano_person_end2end.onnx"
THRESHOLDS = (0.3, 0.4, 0.5)
SAME_WEIGHTS = ("onnx, raw heads", "mmdet, PyTorch")  # as the end-to-end file
Boxes = tuple[Array, Array]  # (N, 4) left, top, right, bottom and (N,) scores


def photographs() -> dict[str, Image]:
    """All COCO photographs by file name."""
    return {
        path.name: np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), dtype=np.uint8)
        for path in sorted(PHOTOS.rglob("*.jpg"))
    }


def random_pairs(images: list[Image], count: int, seed: int) -> list[tuple[Image, Region]]:
    """Pictures with boxes anywhere, of any shape, some past the edges."""
    random = np.random.default_rng(seed)
    pairs = []
    for k in range(count):
        image = images[k % len(images)]
        size = np.array([image.shape[1], image.shape[0]])
        center, side = random.uniform(0, 1, 2) * size, random.uniform(0.05, 0.9, 2) * size
        pairs.append((image, Region.from_box(np.concatenate([center - side / 2, center + side / 2]))))
    return pairs


def compare_key_points(name: str, pairs: list[tuple[Image, Region]], folder: Path, seed: int = 0) -> dict[str, Any]:
    """A row: RTMPose with the same random weights in PyTorch and in ONNX Runtime, and our crops beside MMPose's."""
    torch.manual_seed(seed)
    model = entry(name)
    pytorch = MMPoseKeypoints(config_path(model))
    report = export_network(pytorch.model, "keypoints", model.input_size, folder / f"{name}.onnx")
    onnx = RTMPoseOnnx(report.path, pytorch.skeleton, model.input_size)
    distances, relative, crops = [], [], 0.0
    for image, region in pairs:
        (a,), (b,) = pytorch.keypoints(image, [region]), onnx.keypoints(image, [region])
        assert a.raw_score is not None and b.raw_score is not None
        distances.append(np.linalg.norm(a.xy_px - b.xy_px, axis=1))
        relative.append(np.abs(a.raw_score - b.raw_score) / np.abs(a.raw_score))
        theirs = pytorch.model.data_preprocessor(pytorch.prepare_batch(image, [region]), False)["inputs"].numpy()
        ours = normalise([crop(image, crop_matrix(region, model.input_size), model.input_size)], bgr=False)
        crops = max(crops, float(np.abs(ours - theirs).max()))
    moved, scores = np.concatenate(distances), np.concatenate(relative)
    return {
        "model": name,
        "pairs": len(pairs),
        "key points": len(moved),
        "within 0.5 px": f"{(moved <= 0.5).mean():.3%}",
        "largest, px": f"{moved.max():.2g}",
        "raw scores, largest relative difference": f"{scores.max():.1e}",
        "crops from MMPose's own, largest difference": f"{crops:.1e}",
        "export, share of the largest output": f"{report.largest_difference / report.largest_output:.1e}",
    }


def detector_functions() -> dict[str, Callable[[Image], Boxes]]:
    """RTMDet-nano with the same real weights, by who runs it."""

    def ours(detector: RTMDetOnnx | MMDetDetector) -> Callable[[Image], Boxes]:
        def detect(image: Image) -> Boxes:
            regions = detector.detect(image)
            return np.array([r.box_px for r in regions]).reshape(-1, 4), np.array([r.score for r in regions])

        return detect

    pytorch = MMDetDetector(config_path(entry("rtmdet-nano")))
    weights_from_onnx(pytorch.model, DETECTORS / "rtmdet_nano_raw_heads.onnx", (320, 320))
    functions = {
        "onnx, end to end": ours(RTMDetOnnx(DETECTORS / FILE, (320, 320))),
        "onnx, raw heads": ours(RTMDetOnnx(DETECTORS / "rtmdet_nano_raw_heads.onnx")),
        "mmdet, PyTorch": ours(pytorch),
    }
    try:
        from rtmlib import RTMDet
    except ImportError:
        return functions
    theirs = RTMDet(str(DETECTORS / FILE), model_input_size=(320, 320))

    def rtmlib(image: Image) -> Boxes:
        """It gives no scores: a box gets the highest threshold that it passes."""
        passed: dict[tuple[float, ...], float] = {}
        for threshold in THRESHOLDS:
            theirs.score_thr = threshold
            passed |= {tuple(map(float, box)): threshold for box in theirs(np.ascontiguousarray(image[..., ::-1]))}
        return np.array(list(passed)).reshape(-1, 4), np.array(list(passed.values()))

    return functions | {"rtmlib, end to end": rtmlib}


def found_and_missed(boxes: Array, truth: Array, crowds: Array) -> tuple[int, int]:
    """True and false positives at IoU 0.5; what lies on a crowd that nobody counted is neither."""
    free, right, wrong = set(range(len(truth))), 0, 0
    for box in boxes:
        best = max(free, key=lambda k: overlap(box, truth[k]), default=None)
        if best is not None and overlap(box, truth[best]) >= 0.5:
            free.remove(best)
            right += 1
        elif not any(covered(box, crowd) >= 0.5 for crowd in crowds):
            wrong += 1
    return right, wrong


def covered(box: Array, crowd: Array) -> float:
    """Share of ``box`` that lies in ``crowd``."""
    size = np.clip(np.minimum(box[2:], crowd[2:]) - np.maximum(box[:2], crowd[:2]), 0, None)
    return float(size.prod() / max((box[2:] - box[:2]).prod(), 1e-9))


def compare_detectors(images: dict[str, Image]) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """How many people there are, rows of recall and precision, and rows of differences from the end-to-end file."""
    annotations = orjson.loads((PHOTOS / "person_keypoints_subset.json").read_bytes())
    names = {row["id"]: row["file_name"] for row in annotations["images"]}
    truth: dict[str, list[list[float]]] = {name: [] for name in images}
    crowds: dict[str, list[list[float]]] = {name: [] for name in images}
    for row in annotations["annotations"]:
        x, y, width, height = row["bbox"]
        (crowds if row["iscrowd"] else truth)[names[row["image_id"]]].append([x, y, x + width, y + height])
    people = sum(map(len, truth.values()))
    functions = detector_functions()
    found = {who: {name: detect(image) for name, image in images.items()} for who, detect in functions.items()}
    accuracy: list[dict[str, Any]] = []
    for threshold in THRESHOLDS:
        for who, results in found.items():
            right = wrong = 0
            for name, (boxes, scores) in results.items():
                a, b = found_and_missed(
                    boxes[scores >= threshold],
                    np.array(truth[name]).reshape(-1, 4),
                    np.array(crowds[name]).reshape(-1, 4),
                )
                right, wrong = right + a, wrong + b
            accuracy.append(
                {
                    "score from": threshold,
                    "who": who,
                    "people found": right,
                    "others": wrong,
                    "recall": f"{right / people:.3f}",
                    "precision": f"{right / max(right + wrong, 1):.3f}",
                }
            )
    return people, accuracy, [difference(found["onnx, end to end"], found[who], who) for who in SAME_WEIGHTS]


def difference(first: dict[str, Boxes], second: dict[str, Boxes], who: str) -> dict[str, Any]:
    """A row: boxes and scores of ``second`` from those of ``first``, paired in their order (score 0.3 and more)."""
    boxes_px, scores, differing, count = [0.0], [0.0], 0, 0
    for name, (boxes, score) in first.items():
        others, other_score = second[name]
        kept, other_kept = score >= THRESHOLDS[0], other_score >= THRESHOLDS[0]
        count += int(other_kept.sum())
        if kept.sum() != other_kept.sum():
            differing += 1
            continue
        boxes_px.append(float(np.abs(boxes[kept] - others[other_kept]).max(initial=0)))
        scores.append(float(np.abs(score[kept] - other_score[other_kept]).max(initial=0)))
    return {
        "who": who,
        "boxes": count,
        "photographs with another number of boxes": differing,
        "largest difference of a side, px": f"{max(boxes_px):.2g}",
        "of a score": f"{max(scores):.1e}",
    }


def report(key_points: list[dict[str, Any]], detectors: tuple[int, list[Any], list[Any]], photos: int) -> str:
    """The page in Markdown."""
    people, accuracy, differences = detectors
    return f"""# Both engines, the same weights

Made by `python -m benchmarks.parity --write` on the {photos} photographs of COCO val2017 in the private test data.

## Key points: PyTorch (MMPose) and ONNX Runtime

The same seeded random weights in both, on random boxes of the photographs, some past the edges. The goal is 99.9 % of
the key points within 0.5 px, raw scores within 1e-3, and crops within 1e-3 (of values from about -2 to 2.6).

{table(key_points)}

## The detector: the same real weights of RTMDet-nano

Boxes with a score from {THRESHOLDS[0]} held against those of the file with suppression built in (`{FILE}`).

{table(differences)}

## People found on the photographs

{people} people are annotated; found means IoU 0.5 or more with a person not yet taken; boxes on a crowd that nobody
counted are left out. rtmlib runs the same file with the same threshold.

{table(accuracy)}
"""


def main() -> None:
    """Compare, print, and with ``--write`` write ``parity.md``."""
    parser = argparse.ArgumentParser(description="Both engines held against each other.")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--models", nargs="*", default=["rtmpose-t", "rtmpose-s", "rtmpose-m"])
    parser.add_argument("--write", action="store_true", help="write benchmarks/parity.md")
    arguments = parser.parse_args()
    if not PHOTOS.is_dir():
        raise SystemExit(f"The private photographs are not in {PHOTOS}; set KINOSCOPE_DATA.")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # flushing the denormals of random weights works in one thread only
    torch.set_flush_denormal(True)
    images = photographs()
    pairs = random_pairs(list(images.values()), arguments.pairs, seed=7)
    with tempfile.TemporaryDirectory() as folder:
        key_points = [compare_key_points(name, pairs, Path(folder)) for name in arguments.models]
    text = report(key_points, compare_detectors(images), len(images))
    print(text)
    if arguments.write:
        (HERE / "parity.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
