"""All runs of the store, read once for each version of a manifest, searched and sorted."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st
from PIL import Image, ImageOps

from pipeline.runs import Manifest, Run, RunStore

THUMBNAIL_SIZE = (320, 240)


@dataclass(frozen=True)
class Entry:
    """A run in the list; ``error`` says why it cannot be opened, empty when it can."""

    id: str
    folder: str
    manifest: Manifest | None = None
    error: str = ""
    size_bytes: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The source's name; the id when it is unknown."""
        return str(self.manifest.source.get("name") or self.id) if self.manifest else self.id

    @property
    def text(self) -> str:
        """What the search looks through, in lower case."""
        if self.manifest is None:
            return self.id.lower()
        m = self.manifest
        return " ".join(
            [self.id, self.name, m.subject, *m.tags, str(m.model.get("name")), str(m.model.get("detector")), m.state]
        ).lower()


ORDERS = {
    "Newest first": (lambda e: e.manifest.created_utc if e.manifest else "", True),
    "Oldest first": (lambda e: e.manifest.created_utc if e.manifest else "", False),
    "Name": (lambda e: e.name.lower(), False),
    "Subject": (lambda e: (not (e.manifest and e.manifest.subject), e.manifest.subject if e.manifest else ""), False),
    "Longest first": (lambda e: e.manifest.duration_s if e.manifest else 0.0, True),
    "Most people first": (lambda e: len(e.manifest.people) if e.manifest else 0, True),
}


def entries(store: RunStore) -> list[Entry]:
    """Every run of the store, the damaged and the newer ones with their sentence."""
    found = []
    for run in store.runs():
        try:
            modified_ns = (run.folder / "manifest.json").stat().st_mtime_ns
        except OSError:
            continue  # deleted in this moment by somebody else
        found.append(_entry(str(run.folder), modified_ns))
    return found


@st.cache_data(max_entries=5000, show_spinner=False)
def _entry(folder: str, modified_ns: int) -> Entry:  # noqa: ARG001 -- part of the cache key
    run = Run(Path(folder))
    try:
        return Entry(run.id, folder, run.manifest, "", sum(p.stat().st_size for p in run.folder.rglob("*")))
    except (ValueError, OSError) as error:
        return Entry(run.id, folder, None, str(error))


def thumbnail(entry: Entry) -> bytes | None:
    """The run's small picture on a field that is the same for all runs, as PNG; None when there is none."""
    path = Path(entry.folder) / "thumbnail.jpg"
    try:
        return _thumbnail(str(path), path.stat().st_mtime_ns)
    except OSError:
        return None


@st.cache_data(max_entries=500, show_spinner=False)
def _thumbnail(path: str, modified_ns: int) -> bytes:  # noqa: ARG001 -- part of the cache key
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        ImageOps.pad(picture.convert("RGBA"), THUMBNAIL_SIZE, color=(128, 128, 128, 40)).save(buffer, format="PNG")
    return buffer.getvalue()


def search(found: Iterable[Entry], text: str, order: str) -> list[Entry]:
    """The runs that hold every word of ``text`` (name, subject, tags, models, state), in this order (``ORDERS``)."""
    key, reverse = ORDERS[order]
    wanted = text.lower().split()
    return sorted((e for e in found if all(word in e.text for word in wanted)), key=key, reverse=reverse)


def all_tags(store: RunStore) -> list[str]:
    """Every tag in use."""
    return sorted({tag for e in entries(store) if e.manifest for tag in e.manifest.tags})


def megabytes(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / 1e6:.1f} MB"
