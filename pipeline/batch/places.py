"""Folders here and elsewhere (``s3://``, ``gs://``, ``memory://``), by fsspec: what a batch does with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
from fsspec.core import url_to_fs  # type: ignore[import-untyped]

from pipeline.runs import write_atomically


class PlaceError(ValueError):
    """A folder cannot be reached, read or written; the message says which and what to do."""


@dataclass(frozen=True)
class Place:
    """A folder at a path or URL.

    A file written here is there whole or not at all: renamed into place on a disk, one put elsewhere. Where the
    credentials and the endpoint of a bucket come from is the store's own business (``AWS_ACCESS_KEY_ID``,
    ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS`` ...).
    """

    url: str

    @cached_property
    def _opened(self) -> tuple[fsspec.AbstractFileSystem, str]:
        with in_words(self.url):
            file_system, path = url_to_fs(self.url)
            return file_system, str(path)

    @property
    def files(self) -> fsspec.AbstractFileSystem:
        """The file system. Raises PlaceError when there is none for this kind of URL."""
        return self._opened[0]

    @property
    def path(self) -> str:
        """The folder's path in it."""
        return self._opened[1].rstrip("/")

    @property
    def local(self) -> Path | None:
        """The folder on this machine's disk; None when it is elsewhere."""
        return Path(self.path or "/") if is_local(self.files) else None

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.url.rstrip('/')}/{name}")

    def exists(self, name: str) -> bool:
        """Is there a file of this name?"""
        with in_words(self.url):
            return bool(self.files.isfile(f"{self.path}/{name}"))

    def read(self, name: str) -> bytes | None:
        """A file's content; None when it is not there."""
        with in_words(self.url):
            try:
                return bytes(self.files.cat_file(f"{self.path}/{name}"))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Replace a file as a whole."""
        if self.local is not None:
            target = self.local / name
            with in_words(self.url):
                target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content)
            return
        with in_words(self.url):
            self.files.pipe_file(f"{self.path}/{name}", content)

    def names(self) -> list[str]:
        """The files right in this folder; none when there is no such folder."""
        with in_words(self.url):
            self.files.invalidate_cache()
            try:
                entries = self.files.ls(self.path, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return []
            return sorted(str(e["name"]).rsplit("/", 1)[-1] for e in entries if e["type"] == "file")

    def put_folder(self, folder: Path, last: str) -> None:
        """Copy a folder's files to this place, the one named ``last`` last: with it the copy is whole."""
        with in_words(self.url):
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix() == last):
                self.files.put_file(str(path), f"{self.path}/{path.relative_to(folder).as_posix()}")

    def get_folder(self, folder: Path) -> None:
        """Copy everything in this place to a new folder on this machine."""
        with in_words(self.url):
            for remote in self.files.find(self.path):
                if str(remote).endswith("/"):  # a web console's sign for a folder, no file
                    continue
                target = folder / str(remote)[len(self.path) :].lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                self.files.get_file(remote, str(target))


def is_local(file_system: fsspec.AbstractFileSystem) -> bool:
    """Are its files on this machine's disk?"""
    protocol: Any = file_system.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


@contextmanager
def in_words(url: str) -> Iterator[None]:
    """What file systems throw, as one sentence. Raises PlaceError."""
    try:
        yield
    except FileNotFoundError as error:
        raise PlaceError(f"There is nothing at {url} ({error}); check the name.") from error
    except PermissionError as error:
        raise _not_permitted(url, error) from error
    except ImportError as error:
        raise PlaceError(f"{url} needs a package that is not installed: {error}.") from error
    except OSError as error:
        if str(error).startswith("Forbidden:"):  # gcsfs's word for 403
            raise _not_permitted(url, error) from error
        raise PlaceError(f"{url} cannot be used: {error.strerror or error}.") from error
    except ValueError as error:
        if isinstance(error, PlaceError):
            raise
        raise PlaceError(f"{url} cannot be used: {error}.") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google"):
            raise
        if getattr(error, "code", None) in (401, 403):
            raise _not_permitted(url, error) from error
        raise PlaceError(f"{url} cannot be reached: {error}.") from error


def _not_permitted(url: str, error: Exception) -> PlaceError:
    said = " ".join(str(error).split())
    return PlaceError(
        f"No permission for {url} ({said}); check who may use it and, for a bucket, the credentials, or choose another."
    )
