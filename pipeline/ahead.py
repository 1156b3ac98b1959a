"""Work that is done while something else is waited for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Runs an iterator in a thread, ``ahead`` items before they are asked for; its exceptions come out here."""

    _END = object()

    def __init__(self, items: Iterator[Item], ahead: int = 4) -> None:
        self._items = items
        self._queue: queue.Queue[object] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._offer(item):
                    break
        except BaseException as error:  # noqa: BLE001 -- raised again in the consumer's thread
            self._error = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            self._offer(self._END)

    def _offer(self, item: object) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        while (item := self._queue.get()) is not self._END:
            yield item  # type: ignore[misc]
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the thread; safe to call more than once."""
        self._stopped.set()
        self._thread.join()
