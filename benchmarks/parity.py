"""Both engines held against each other, and RTMDet against annotated photographs.

    python -m benchmarks.parity [--pairs 200] [--models rtmpose-t rtmpose-s rtmpose-m]

Needs the private photographs (KINOSCOPE_DATA). Weights: seeded random ones for RTMPose, the real ones of
``rtmdet_nano_raw_heads.onnx`` for RTMDet in both engines. ``rtmlib`` joins the detector's table where it is installed.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import orjson
import torch

from pipeline import settings
from pipeline.estimation.base import Image, Region
from pipeline.estimation.export import export_network, weights_from_onnx
from pipeline.estimation.mmpose_models import MMDetDetector, MMPoseKeypoints
from pipeline.estimation.onnx_models import RTMDetOnnx, RTMPoseOnnx, crop, crop_matrix, normalise
from pipeline.estimation.registry import config_path, entry
from pipeline.estimation.tracking import overlap
from pipeline.poses import Array

PHOTOS = settings.data_dir() / "media/photos_coco_val2017"
DETECTORS = settings.data_dir() / "models"
THRESHOLDS = (0.3, 0.4, 0.5)
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


def compare_key_points(name: str, pairs: list[tuple[Image, Region]], folder: Path, seed: int = 0) -> None:
    """RTMPose with the same random weights in PyTorch and in ONNX Runtime."""
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
    print(
        f"{name:10} {len(pairs)} pairs, {len(moved)} points: {(moved <= 0.5).mean():.2%} within 0.5 px "
        f"(largest {moved.max():.3g} px), raw scores within {scores.max():.1e}, crops within {crops:.1e}, "
        f"export within {report.largest_difference:.1e} of {report.largest_output:.3g}"
    )


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
        "onnx, end to end": ours(RTMDetOnnx(DETECTORS / "rtmdet_nano_person_end2end.onnx", (320, 320))),
        "onnx, raw heads": ours(RTMDetOnnx(DETECTORS / "rtmdet_nano_raw_heads.onnx")),
        "mmdet, PyTorch": ours(pytorch),
    }
    try:
        from rtmlib import RTMDet
    except ImportError:
        return functions
    theirs = RTMDet(str(DETECTORS / "rtmdet_nano_person_end2end.onnx"), model_input_size=(320, 320))

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


def compare_detectors(images: dict[str, Image]) -> None:
    """Recall and precision of people's boxes, and the largest difference from the end-to-end file."""
    table = orjson.loads((PHOTOS / "person_keypoints_subset.json").read_bytes())
    names = {row["id"]: row["file_name"] for row in table["images"]}
    truth: dict[str, list[list[float]]] = {name: [] for name in images}
    crowds: dict[str, list[list[float]]] = {name: [] for name in images}
    for row in table["annotations"]:
        x, y, width, height = row["bbox"]
        (crowds if row["iscrowd"] else truth)[names[row["image_id"]]].append([x, y, x + width, y + height])
    people = sum(map(len, truth.values()))
    functions = detector_functions()
    found = {who: {name: detect(image) for name, image in images.items()} for who, detect in functions.items()}
    for threshold in THRESHOLDS:
        print(f"\nRTMDet-nano, {people} people on {len(images)} photographs, score >= {threshold}")
        for who, results in found.items():
            right = wrong = 0
            for name, (boxes, scores) in results.items():
                a, b = found_and_missed(
                    boxes[scores >= threshold],
                    np.array(truth[name]).reshape(-1, 4),
                    np.array(crowds[name]).reshape(-1, 4),
                )
                right, wrong = right + a, wrong + b
            print(f"  {who:20} recall {right / people:.3f}  precision {right / max(right + wrong, 1):.3f}")
    first, largest = found["onnx, end to end"], {}
    for who in ("onnx, raw heads", "mmdet, PyTorch"):
        differences = [0.0]
        for name, (boxes, scores) in first.items():
            others, other_scores = found[who][name]
            a, b = boxes[scores >= 0.3], others[other_scores >= 0.3]
            same_count = len(a) == len(b)
            differences.append(float(np.abs(a - b).max(initial=0)) if same_count else float("inf"))
        largest[who] = max(differences)
    print("\nlargest difference of a box from the end-to-end file's:", {k: f"{v:.2g} px" for k, v in largest.items()})


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description="Both engines held against each other.")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--models", nargs="*", default=["rtmpose-t", "rtmpose-s", "rtmpose-m"])
    arguments = parser.parse_args()
    if not PHOTOS.is_dir():
        raise SystemExit(f"The private photographs are not in {PHOTOS}; set KINOSCOPE_DATA.")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # flushing the denormals of random weights works in one thread only
    torch.set_flush_denormal(True)
    images = photographs()
    pairs = random_pairs(list(images.values()), arguments.pairs, seed=7)
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models:
            compare_key_points(name, pairs, Path(folder))
    compare_detectors(images)


if __name__ == "__main__":
    main()
