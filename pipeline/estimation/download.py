"""Fetching weights: resumed where it stopped, verified, put in place in one step, and once however many ask for it.

OpenMMLab's checkpoints carry the first digits of their SHA-256 in their names and are held against them. The ONNX
archives carry the checkpoint's digits, not their own: their SHA-256 is recorded at the first download.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from pipeline.estimation.base import EstimatorError
from pipeline.estimation.registry import ModelEntry, entry, how_to_get, record_path, url_name, weights_sha256

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0
PAUSES_S = (0.5, 1.0, 2.0, 4.0)  # before each further try that brought nothing new
GONE = (401, 403, 404, 410)


@dataclass(frozen=True)
class DownloadProgress:
    """How far a download is; ``total_bytes`` is None where the server does not say."""

    file: str
    done_bytes: int
    total_bytes: int | None


@dataclass(frozen=True)
class FileCheck:
    """A weights file held against what is known of it; ``ok`` is None where nothing is known."""

    path: Path
    sha256: str
    ok: bool | None
    reason: str


Report = Callable[[DownloadProgress], None]


def download(name: str, *, checkpoint: bool = False, progress: Report | None = None) -> Path:
    """Fetch the weights of a model and make them ready to use; nothing happens when they are there.

    Args:
        name: of the registry.
        checkpoint: the PyTorch weights instead of the ONNX file.
        progress: called now and then; what it raises stops the download, which goes on from there next time.

    Returns:
        The ONNX file or the checkpoint.

    Raises:
        EstimatorError: unknown model, nothing to download, offline, not there any more, or not the right file.
    """
    model = entry(name)
    if checkpoint or not model.onnx_url:
        path = model.checkpoint_path
        if path is None or not (model.checkpoint_url or path.exists()):
            raise EstimatorError(f"There is nothing to download for {name}. {how_to_get(model)}")
        if not path.exists():
            fetch(model.checkpoint_url, path, model.hash8, progress)
        return path
    archive = model.onnx_archive_path
    assert archive is not None
    if not model.onnx_path.exists() and not archive.exists():
        fetch(model.onnx_url, archive, "", progress)
    return installed_onnx(model)


def installed_onnx(model: ModelEntry) -> Path:
    """The model's ONNX file, taken out of its archive if need be. Raises EstimatorError when neither is there."""
    target, archive = model.onnx_path, model.onnx_archive_path
    if not target.exists():
        if archive is None or not archive.exists():
            raise EstimatorError(f"{model.name} is not installed for the onnx engine. {how_to_get(model)}")
        with FileLock(_beside(target, ".lock")):
            if not target.exists():
                extract_onnx(archive, target)
    return target


def installed_checkpoint(model: ModelEntry) -> Path:
    """The model's PyTorch weights, held against the hash in their name. Raises EstimatorError when they don't fit."""
    path = model.checkpoint_path
    if path is None or not path.exists():
        raise EstimatorError(f"{model.name} is not installed for the mmpose engine. {how_to_get(model, 'mmpose')}")
    if not weights_sha256(path).startswith(model.hash8):
        raise EstimatorError(
            f"{path} is damaged or another file (its SHA-256 does not begin with {model.hash8}); delete it. "
            f"{how_to_get(model, 'mmpose')}"
        )
    return path


def check(name: str) -> tuple[FileCheck, ...]:
    """Every file of a model that is on this machine, held against its name's hash, the evaluation or the download."""
    model = entry(name)
    checks = []
    for path in (model.checkpoint_path, model.onnx_archive_path, model.onnx_path):
        if path is None or not path.exists():
            continue
        sha256 = weights_sha256(path)
        record = record_path(path)
        ours = path == model.checkpoint_path and model.source == "builtin" and model.checkpoint_file
        shipped = shipped_sha256(path) if ours else None
        if path == model.checkpoint_path and model.hash8:
            ok: bool | None = sha256.startswith(model.hash8)
            reason = f"its SHA-256 {'begins' if ok else 'does not begin'} with {model.hash8}, the digits in its name"
        elif shipped is not None:
            ok = shipped == sha256
            reason = "as it was evaluated" if ok else f"not the file whose evaluation is in {path.stem}.json"
        elif record.exists():
            ok = json.loads(record.read_text())["sha256"] == sha256
            reason = "as it was first downloaded" if ok else "changed since it was downloaded: delete it"
        else:
            ok, reason = None, "nothing to compare with: it was put here by hand, exported, or is yours"
        checks.append(FileCheck(path, sha256, ok, reason))
    return tuple(checks)


def shipped_sha256(path: Path) -> str | None:
    """What the evaluation beside weights that we trained (NAME.json for NAME.pth) says of them; None without one."""
    try:
        told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return told.get("sha256", {}).get(path.name)


def fetch(url: str, path: Path, sha256_prefix: str = "", progress: Report | None = None) -> None:
    """Download ``url`` to ``path``, or wait for whoever is doing it.

    Goes on where an earlier try stopped (HTTP Range), into ``path`` + ".part"; only a complete and verified file gets
    the name ``path``.

    Raises:
        EstimatorError: offline, not there, no room, or not the file it should be; the message names the file, the URL
            and the folder to put it in by hand.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_beside(path, ".lock")):
        if path.exists():
            return
        part = _beside(path, ".part")
        _fetch_part(url, part, path, progress)
        sha256 = _sha256(part)
        wrong = not sha256.startswith(sha256_prefix) or (path.suffix == ".zip" and not zipfile.is_zipfile(part))
        if wrong:
            part.unlink()
            what = f"its SHA-256 begins with {sha256[:8]}" if sha256_prefix else "it is no archive"
            raise EstimatorError(f"What came is not {path.name}: {what}. {_by_hand(url, path)}")
        record = {
            "schema_version": 1,
            "file": path.name,
            "url": url,
            "sha256": sha256,
            "verified_by": "hash in the file name" if sha256_prefix else "recorded at this first download",
        }
        record_path(path).write_text(json.dumps(record, indent=1), encoding="utf-8")
        part.replace(path)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_hand(url: str, path: Path) -> str:
    return f"Try again, or put {url_name(url)} from {url} into {path.parent} by hand."


def _fetch_part(url: str, part: Path, path: Path, progress: Report | None) -> None:
    """Fill ``part`` until it is complete, as long as tries bring something or pauses are left."""
    pauses = list(PAUSES_S)
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _fetch_some(url, part, path, progress):
                return
            problem = "the connection was lost"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in GONE:
                raise EstimatorError(
                    f"{path.name} is not (or no longer) to be had: the server answered {error.code}. "
                    f"{_by_hand(url, path)}"
                ) from error
            if error.code == 416:  # more bytes here than there: what is here belongs to another file
                part.unlink(missing_ok=True)
            problem = f"the server answered {error.code}"
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            problem = f"no connection ({getattr(error, 'reason', None) or error or type(error).__name__})"
        if part.exists() and part.stat().st_size > before:
            pauses = list(PAUSES_S)
        if not pauses:
            raise EstimatorError(f"{path.name} could not be downloaded: {problem}. {_by_hand(url, path)}")
        time.sleep(pauses.pop(0))


def _fetch_some(url: str, part: Path, path: Path, progress: Report | None) -> bool:
    """One request from where ``part`` ends; True when the file is complete."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "kinoscope"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        if response.status != 206:
            done = 0  # the server sends it from the start
        length = response.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        if total is not None and shutil.disk_usage(part.parent).free < total - done:
            raise EstimatorError(
                f"{path.name} needs {(total - done) / 1e6:.0f} MB in {part.parent}, where less is free; make room, "
                "or move the folder with KINOSCOPE_MODELS."
            )
        with part.open("ab" if done else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(DownloadProgress(path.name, done, total))
            file.flush()
            os.fsync(file.fileno())
    return total is None or done >= total


def extract_onnx(archive: Path, target: Path) -> None:
    """Copy the ONNX file out of an MMDeploy archive to ``target``; no path inside the archive is ever followed.

    Raises:
        EstimatorError: no archive, damaged, or not exactly one ONNX file in it.
    """
    part = _beside(target, ".part")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if info.filename.endswith(".onnx")]
            named = [info for info in members if Path(info.filename).name == "end2end.onnx"] or members
            if len(named) != 1:
                raise EstimatorError(f"{archive} holds {len(named)} ONNX files, not one: it is no MMDeploy archive.")
            with opened.open(named[0]) as source, part.open("wb") as file:
                shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, EOFError) as error:
        part.unlink(missing_ok=True)
        raise EstimatorError(f"{archive} is damaged ({error}); delete it and download it again.") from error
    part.replace(target)
