"""What a batch works on (``Item``), what was asked (``Plan``), and what became of each clip (``Record``)."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import orjson

from pipeline.batch.places import Place, in_words, is_local
from pipeline.inference import InferenceOptions
from pipeline.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from pipeline.poses import SCHEMA_VERSION
from pipeline.runs import slug

DONE, FAILED, WAITING, RUNNING = "done", "failed", "waiting", "running"
_SUFFIXES = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)


class BatchError(ValueError):
    """A batch cannot be begun or gone on with; the message says why and what to do."""


@dataclass(frozen=True)
class Item:
    """One clip: where it is, how people know it, and what tells this version of it from another."""

    url: str
    name: str
    fingerprint: str = ""

    @property
    def key(self) -> str:
        """16 hex digits that belong to this version of this clip."""
        return hashlib.sha256(f"{self.url}\0{self.fingerprint}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """What was asked of every clip. ``created`` (UTC) becomes part of the runs' names."""

    tasks: tuple[str, ...]
    options: InferenceOptions = field(default_factory=InferenceOptions)
    created: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%d-%H%M%S}")

    def run_id(self, item: Item) -> str:
        """The name of the clip's run: the same however often and wherever it is begun, so that none is made twice."""
        asked = orjson.dumps([item.key, asdict(self.options)], option=orjson.OPT_SORT_KEYS)
        return f"{self.created}-{slug(PurePosixPath(item.name).stem)[:32]}-{hashlib.sha256(asked).hexdigest()[:10]}"


@dataclass(frozen=True)
class TaskRecord:
    """What became of one task for one clip.

    ``analysis`` is the result's name in the run ("" for the poses, which are the run), ``columns`` its own numbers.
    """

    state: str
    analysis: str = ""
    error: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What became of one clip; written when its run is in the store, so what it says is so."""

    key: str
    source: str
    name: str
    state: str
    run: str = ""
    error: str = ""
    frames: int = 0
    duration_s: float = 0.0
    people: int = 0
    tasks: Mapping[str, TaskRecord] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = field(default_factory=socket.gethostname)
    schema_version: int = SCHEMA_VERSION

    def finished(self, tasks: Sequence[str]) -> bool:
        """Is everything that is asked done? What failed is tried again."""
        return self.state == DONE and all(name in self.tasks and self.tasks[name].state == DONE for name in tasks)

    @property
    def errors(self) -> str:
        """Everything that went wrong, in sentences."""
        parts = [self.error, *(f"{name}: {task.error}" for name, task in self.tasks.items() if task.error)]
        return " ".join(part for part in parts if part)

    def to_json(self) -> bytes:
        """The record as JSON."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)

    @classmethod
    def from_json(cls, content: bytes) -> Record:
        """The inverse of ``to_json``. Raises ValueError when it is none."""
        values = orjson.loads(content)
        if not isinstance(values, dict) or not isinstance(values.get("tasks"), dict):
            raise BatchError("This is no record of a batch.")
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        try:
            return cls(**known | {"tasks": {name: TaskRecord(**task) for name, task in values["tasks"].items()}})
        except TypeError as error:
            raise BatchError(f"This is no record of a batch ({error}).") from error


def find_items(inputs: Sequence[str], *, but_not_in: str = "") -> list[Item]:
    """The clips that folders, globs, files and URLs of them name, by place.

    A folder gives everything in it and below that a picture or clip is usually called; a glob gives what it matches.

    Args:
        but_not_in: a folder whose files are left out (the batch's own).

    Raises:
        BatchError, PlaceError: there is nothing, or it cannot be reached.
    """
    found: dict[str, Item] = {}
    for given in inputs:
        items = _items_of(given, Place(but_not_in).path if but_not_in else "")
        if not items:
            raise BatchError(f"There are no pictures or clips at {given}; name a folder, a file or a glob.")
        found |= {item.url: item for item in items}
    return [found[url] for url in sorted(found)]


def _items_of(given: str, hidden: str) -> list[Item]:
    place = Place(given)
    files, path = place.files, place.path
    with in_words(given):
        files.invalidate_cache()
        if files.isdir(path):
            infos = [info for info in files.find(path, detail=True).values() if _is_media(str(info["name"]), path)]
            root = path
        elif any(sign in path for sign in "*?[") and not files.exists(path):
            root = path[: min(path.index(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
            matches = [info for info in files.glob(path, detail=True).values() if info["type"] == "file"]
            infos = [info for info in matches if not _is_hidden(str(info["name"]), root)]
        else:
            infos = [files.info(path)]
            root = path.rpartition("/")[0]
        infos = [info for info in infos if not (hidden and str(info["name"]).startswith(f"{hidden}/"))]
        return [_item(str(info["name"]), root, info, files) for info in infos]


def _item(path: str, root: str, info: Mapping[str, Any], files: Any) -> Item:
    version = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("created") or ""
    url = path if is_local(files) else str(files.unstrip_protocol(path))
    return Item(url, path[len(root) :].lstrip("/") or path, f"{info.get('size', '')} {version}")


def _is_media(path: str, root: str) -> bool:
    return PurePosixPath(path).suffix.lower() in _SUFFIXES and not _is_hidden(path, root)


def _is_hidden(path: str, root: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path[len(root) :]).parts)
