"""Tells somebody outside of a fall: a web hook or a command, never more often than agreed.

A notifier works in a thread of its own: a slow or dead receiver never holds up the camera. Nothing is sent anywhere
unless the user names a receiver; what is sent is times, a person's number and a probability, never a picture.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shlex
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipeline.falls.events import FallEvent

_log = logging.getLogger(__name__)
_QUEUE = 100


class NotifyError(ValueError):
    """The receiver makes no sense, or could not be reached; the message says why."""


@dataclass(frozen=True)
class NotifyOptions:
    """Whom to tell of a fall, and how often.

    webhook: address that gets a JSON POST; empty for none.
    command: program with arguments that is started, the fall as JSON on its standard input; empty for none.
    place: what the message calls this camera.
    pause_s: after a message nobody is told again for this long; what happens meanwhile is counted in the next one.
    at_most_per_h: messages an hour; a camera that fell off the wall must not ring all night.
    timeout_s: a receiver that takes longer is given up.
    """

    webhook: str = ""
    command: str = ""
    place: str = ""
    pause_s: float = 30.0
    at_most_per_h: int = 20
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.webhook:
            parts = urlsplit(self.webhook)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise NotifyError(f"{self.webhook!r} is no web address; it must begin with http:// or https://.")
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise NotifyError(f"the command {self.command!r} cannot be read ({error}); mend its quotes.") from error
        if self.command and not words:
            raise NotifyError("the command is blank; name a program, or leave it empty.")
        if self.pause_s < 0 or self.at_most_per_h < 1 or self.timeout_s <= 0:
            raise NotifyError("pause_s must not be negative, at_most_per_h at least 1, timeout_s above 0.")

    @property
    def wanted(self) -> bool:
        """Somebody is to be told."""
        return bool(self.webhook or self.command)


class RateLimit:
    """Says whether a message may go now: a pause after each, and a greatest number an hour.

    Args:
        pause_s: between two messages. at_most_per_h: messages in any hour. clock: seconds that only rise.
    """

    def __init__(self, pause_s: float, at_most_per_h: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_s, self._at_most, self._clock = pause_s, at_most_per_h, clock
        self._sent: deque[float] = deque()
        self.held_back = 0

    def allow(self) -> bool:
        """True when a message may go, which is then counted; False counts it as held back."""
        now = self._clock()
        while self._sent and now - self._sent[0] >= 3600:
            self._sent.popleft()
        if self._sent and (now - self._sent[-1] < self._pause_s or len(self._sent) >= self._at_most):
            self.held_back += 1
            return False
        self._sent.append(now)
        return True

    def take_held_back(self) -> int:
        """How many were held back since the last call."""
        count, self.held_back = self.held_back, 0
        return count


def message(event: FallEvent, place: str = "", held_back: int = 0) -> dict[str, Any]:
    """What a receiver gets. ``text`` is a sentence, so that chat services which want ``text`` show it as it is."""
    where = f" ({place})" if place else ""
    more = f" {held_back} more since the last message." if held_back else ""
    return {
        "kind": "fall",
        "text": f"Fall detected{where}: person {event.person}, probability {event.peak_probability:.0%}.{more}",
        "place": place,
        "sent_unix_s": round(time.time(), 3),
        "held_back": held_back,
        "event": event.to_json(),
    }


class FallNotifier:
    """Sends falls to a web hook and a command, in a thread of its own.

    Args:
        options: whom and how often. clock: for the rate limit.
        on_error: told a sentence when a receiver could not be reached; None writes it to the log.
    """

    def __init__(
        self,
        options: NotifyOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_error: Callable[[str], None] | None = None,
    ) -> None:
        self.options = options
        self.sent = 0
        self.last_error = ""
        self._limit = RateLimit(options.pause_s, options.at_most_per_h, clock)
        self._on_error = on_error
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(_QUEUE)
        self._thread: threading.Thread | None = None
        self._closed = False

    def tell(self, event: FallEvent) -> bool:
        """Send a fall unless the rate limit holds it back; returns at once. True when it is on its way."""
        if self._closed or not self.options.wanted or not self._limit.allow():
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="fall notifier", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(message(event, self.options.place, self._limit.take_held_back()))
        except queue.Full:
            self._failed("The receiver is too slow; a message was dropped.")
            return False
        return True

    @property
    def held_back(self) -> int:
        """Falls that the rate limit has kept since the last message."""
        return self._limit.held_back

    def close(self, timeout_s: float | None = 15.0) -> None:
        """Send what waits, then stop."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while (content := self._queue.get()) is not None:
            try:
                send(content, self.options)
                self.sent += 1
            except NotifyError as error:
                self._failed(str(error))

    def _failed(self, sentence: str) -> None:
        self.last_error = sentence
        if self._on_error is not None:
            self._on_error(sentence)
        else:
            _log.warning("%s", sentence)


def send(content: dict[str, Any], options: NotifyOptions) -> None:
    """Post to the web hook and run the command, both even when one fails; waits for them.

    Raises:
        NotifyError: a receiver could not be reached, or said no.
    """
    body = json.dumps(content).encode()
    errors = []
    for receiver, deliver in ((options.webhook, _post), (options.command, _start)):
        if receiver:
            try:
                deliver(receiver, body, options.timeout_s)
            except NotifyError as error:
                errors.append(str(error))
    if errors:
        raise NotifyError(" ".join(errors))


def _post(address: str, body: bytes, timeout_s: float) -> None:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method="POST")
    host = urlsplit(address).hostname
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        raise NotifyError(f"The web hook at {host} answered {error.code}; check its address.") from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NotifyError(f"The web hook at {host} could not be reached ({error}).") from error


def _start(command: str, body: bytes, timeout_s: float) -> None:
    words = shlex.split(command, posix=os.name != "nt")
    try:
        done = subprocess.run(words, input=body, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotifyError(f"The command {words[0]} took longer than {timeout_s:.0f} s and was stopped.") from error
    except OSError as error:
        raise NotifyError(f"The command {words[0]} could not be started ({error.strerror or error}).") from error
    if done.returncode:
        raise NotifyError(f"The command {words[0]} ended with code {done.returncode}.")
