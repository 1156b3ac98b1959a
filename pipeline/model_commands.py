"""``python -m pipeline models ...``: list, download, export, quantise, verify, add and remove pose models."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.estimation.base import EstimatorError


def add_model_commands(commands: Any, add: Any) -> None:
    """Put the ``models`` commands under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    models = commands.add_parser("models", help="list, download, export, verify or add pose models").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    add(models, "list", "all models, what is installed and how to get the rest", _list, _show_list)
    command = add(models, "download", "fetch a model's weights", _download, _show_path)
    command.add_argument("names", nargs="+", metavar="NAME")
    command.add_argument("--checkpoint", action="store_true", help="the PyTorch weights instead of the ONNX file")
    command = add(models, "export", "make a model's ONNX file from its PyTorch weights", _export, _show_export)
    command.add_argument("name")
    command.add_argument(
        "--int8", nargs="?", const="dynamic", choices=("dynamic", "static"),
        help="also make a file with 8-bit weights and measure the loss; static calibrates on --images",
    )  # fmt: skip
    command.add_argument(
        "--images", type=Path, metavar="FOLDER",
        help="pictures of people; one half calibrates --int8 static, the loss is measured on the other",
    )  # fmt: skip
    command = add(models, "verify", "hold a model's files, or all, against their hashes", _verify, _show_verify)
    command.add_argument("name", nargs="?", help="default: every model that is here")
    command.set_defaults(failed=_wrong)
    command = add(models, "add", "add a model of your own", _add, _show_path)
    command.add_argument("name")
    command.add_argument("--kind", required=True, choices=("detector", "keypoints"))
    command.add_argument("--config", default="", help="MMPose or MMDetection config file")
    command.add_argument("--checkpoint", default="", help="PyTorch weights")
    command.add_argument("--onnx", default="", help="ONNX file")
    command.add_argument(
        "--skeleton", default="", help="name of its skeleton (for key-point models; default: config's)"
    )
    command.add_argument(
        "--input-size", default="", metavar="WIDTHxHEIGHT", help="of the network's input (default: the files' own)"
    )
    add(models, "remove", "forget a model of your own; its files stay", _remove, _show_path).add_argument("name")


def _list(_: argparse.Namespace) -> dict[str, Any]:
    from pipeline.estimation.registry import how_to_get, is_installed, list_models

    models = []
    for entry in list_models():
        installed = is_installed(entry)
        values = {key: value for key, value in asdict(entry).items() if value == value}  # NaN: nothing published
        models.append(values | {"installed": installed, "how_to_get": "" if installed else how_to_get(entry)})
    return {"models": models}


def _show_list(result: dict[str, Any]) -> None:
    for model in result["models"]:
        mark = "installed" if model["installed"] else "not here"
        unverified = "" if model["verified"] else "  (unverified)"
        print(f"{model['name']:<22} {model['kind']:<10} {mark:<10} {model['title']}{unverified}")
    print("\n`python -m pipeline models download NAME` gets one that is not here.")


def _download(arguments: argparse.Namespace) -> dict[str, Any]:
    from tqdm import tqdm

    from pipeline.estimation.download import DownloadProgress, download

    paths = {}
    for name in arguments.names:
        with tqdm(desc=name, unit="B", unit_scale=True, disable=arguments.json, file=sys.stderr) as bar:

            def report(progress: DownloadProgress, bar: Any = bar) -> None:
                bar.total = progress.total_bytes
                bar.update(progress.done_bytes - bar.n)

            paths[name] = str(download(name, checkpoint=arguments.checkpoint, progress=report))
    return {"files": paths}


def _export(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.estimation.export import export_onnx, picture_inputs, quantise
    from pipeline.estimation.registry import entry, is_installed

    model, int8, images = entry(arguments.name), arguments.int8, arguments.images
    if int8 == "static" and images is None:
        raise EstimatorError("--int8 static needs pictures of people to calibrate on; give --images FOLDER.")
    if images is not None and not int8:
        raise EstimatorError("--images is for 8-bit files only; add --int8 static or --int8 dynamic.")
    result: dict[str, Any] = {}
    if not int8 or (is_installed(model, "mmpose") and not model.onnx_file):
        result["float"] = asdict(export_onnx(model.name))
    if int8:
        tensor = picture_inputs(model.name, images) if images else None
        tried_on = f"from {images}" if images else "made at random"
        result["int8"] = asdict(quantise(model.name, tensor, method=int8)) | {"tried_on": tried_on}
    return {kind: values | {"path": str(values["path"])} for kind, values in result.items()}


def _show_export(result: dict[str, Any]) -> None:
    if "float" in result:
        values = result["float"]
        difference = values["largest_difference"]
        print(f"{values['path']}: largest difference from PyTorch {difference:.2e} on {values['crops']} crops")
    if "int8" in result:
        values = result["int8"]
        median_px, most_px = values["moved_px"]
        again = values["found_again"]
        loss = "nobody was found to compare"
        if median_px == median_px:  # NaN for detectors
            loss = f"key points move by {median_px:.2f} px (median; 95 %: {most_px:.2f} px) of the crop"
        elif again == again:
            loss = f"{100 * again:.1f} % of the people are found again"
        print(
            f"{values['path']}: {values['method']}, {values['size_ratio']:.2f} of the size, "
            f"{values['time_ratio']:.2f} of the time; on {values['inputs']} inputs {values['tried_on']} outputs differ "
            f"by {100 * values['largest_difference']:.1f} % of the largest; {loss}"
        )


def _verify(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.estimation.download import check
    from pipeline.estimation.registry import list_models

    names = [arguments.name] if arguments.name else [model.name for model in list_models()]
    checks = [found for name in names for found in check(name)]
    if not checks:
        raise EstimatorError(f"No file of {arguments.name or 'any model'} is here: python -m pipeline models list")
    return {"files": [asdict(c) | {"path": str(c.path)} for c in checks]}


def _wrong(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The files that are not what they should be."""
    return [entry for entry in result["files"] if entry["ok"] is False]


def _show_verify(result: dict[str, Any]) -> None:
    for entry in result["files"]:
        verdict = {True: "good", False: "WRONG", None: "unknown"}[entry["ok"]]
        print(f"{verdict}: {entry['path']}: {entry['reason']}")
    if wrong := _wrong(result):
        told = "; ".join(f"{entry['path']} ({entry['reason']})" for entry in wrong)
        print(f"{len(wrong)} of {len(result['files'])} files are not what they should be: {told}.", file=sys.stderr)


def _add(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.estimation.registry import ModelEntry, add_model

    added = add_model(
        ModelEntry(
            name=arguments.name,
            kind=arguments.kind,
            title=f"{arguments.name} (your own)",
            skeleton=arguments.skeleton,
            input_size=_size(arguments.input_size),
            config=str(Path(arguments.config)) if arguments.config else "",
            checkpoint_file=arguments.checkpoint,
            onnx_file=arguments.onnx,
        )
    )
    return {"added": added.name}


def _size(text: str) -> tuple[int, int]:
    """``"192x256"`` to numbers; 0, 0 where nothing is given."""
    if not text:
        return 0, 0
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise EstimatorError(f"--input-size must look like 192x256 (width, then height), got {text!r}.")
    return int(width), int(height)


def _remove(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.estimation.registry import remove_model

    remove_model(arguments.name)
    return {"removed": arguments.name}


def _show_path(result: dict[str, Any]) -> None:
    for value in result.values():
        for line in value.values() if isinstance(value, dict) else [value]:
            print(line)
