"""Notifications: to a real web server and a real command, no more often than agreed, never in the way."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipeline.falls.events import FallEvent, Reason
from pipeline.falls.notify import FallNotifier, NotifyError, NotifyOptions, RateLimit, message, send

EVENT = FallEvent(2, 3.0, 3.8, math.nan, math.nan, 3.4, 0.91, math.nan, (Reason("hip_drop_h", 0.5, 0.2, "hips"),))


class Receiver(HTTPServer):
    """Keeps what it gets; answers with ``status``."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, object]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Receiver)
        assert self.headers["Content-Type"] == "application/json"
        self.server.got.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_web_hook_gets_the_fall(receiver: Receiver) -> None:
    notifier = FallNotifier(NotifyOptions(webhook=receiver.address, place="hall"))
    assert notifier.tell(EVENT)
    notifier.close()
    (got,) = receiver.got
    assert got["kind"] == "fall"
    assert "hall" in str(got["text"]) and "91%" in str(got["text"])
    assert got["event"]["onset_s"] == 3.0  # type: ignore[index]
    assert got["event"]["lying_s"] is None  # type: ignore[index]
    assert notifier.sent == 1


def test_the_command_gets_the_fall_on_its_input(tmp_path: Path) -> None:
    out = tmp_path / "got it.json"
    script = tmp_path / "take.py"
    script.write_text("import pathlib, sys\npathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())\n")
    send(message(EVENT), NotifyOptions(command=f"'{sys.executable}' '{script}' '{out}'"))
    assert json.loads(out.read_text())["event"]["person"] == 2


def test_the_pause_and_the_hour_hold_messages_back_and_count_them() -> None:
    now = [0.0]
    limit = RateLimit(30.0, 3, lambda: now[0])
    allowed = []
    for moment in (0, 10, 29, 30, 61, 95, 3599, 3601, 3632):
        now[0] = float(moment)
        allowed.append((moment, limit.allow()))
    assert [moment for moment, yes in allowed if yes] == [0, 30, 61, 3601, 3632]
    assert limit.take_held_back() == 4
    assert limit.take_held_back() == 0


def test_the_notifier_keeps_to_the_limit(receiver: Receiver) -> None:
    now = [0.0]
    notifier = FallNotifier(NotifyOptions(webhook=receiver.address, pause_s=30), clock=lambda: now[0])
    assert [notifier.tell(EVENT) for _ in range(3)] == [True, False, False]
    assert notifier.held_back == 2
    now[0] = 31.0
    assert notifier.tell(EVENT)
    notifier.close()
    assert [got["held_back"] for got in receiver.got] == [0, 2]
    assert not notifier.tell(EVENT), "closed"


def test_nobody_is_told_unless_somebody_is_named() -> None:
    notifier = FallNotifier(NotifyOptions())
    assert not notifier.tell(EVENT)
    notifier.close()


def test_a_dead_receiver_is_a_sentence_and_does_not_stop_anything(receiver: Receiver) -> None:
    told: list[str] = []
    receiver.status = 503
    notifier = FallNotifier(
        NotifyOptions(webhook=receiver.address, command="no-such-program-here"), on_error=told.append
    )
    assert notifier.tell(EVENT)
    notifier.close()
    assert "503" in told[0] and "no-such-program-here" in told[0]
    assert notifier.last_error == told[0]
    with pytest.raises(NotifyError, match="could not be reached"):
        send({}, NotifyOptions(webhook="http://127.0.0.1:9/", timeout_s=2))
    with pytest.raises(NotifyError, match="code 3"):
        send({}, NotifyOptions(command=f"'{sys.executable}' -c 'raise SystemExit(3)'"))


@pytest.mark.parametrize(
    "settings",
    [
        {"webhook": "ftp://somewhere/x"},
        {"webhook": "file:///etc/passwd"},
        {"webhook": "no address"},
        {"command": "say 'unclosed"},
        {"command": "   "},
        {"pause_s": -1.0},
        {"at_most_per_h": 0},
    ],
)
def test_receivers_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(NotifyError):
        NotifyOptions(**settings)  # type: ignore[arg-type]
