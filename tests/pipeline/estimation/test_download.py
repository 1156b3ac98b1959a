"""Downloads against a local server that behaves, drops the line, ignores ranges, or serves something else."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pipeline.estimation import download as module
from pipeline.estimation.base import EstimatorError
from pipeline.estimation.download import DownloadProgress, check, download, extract_onnx, fetch, installed_checkpoint
from pipeline.estimation.registry import ModelEntry, entry, record_path, user_registry_path

CONTENT = np.random.default_rng(0).bytes(900_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server serves, how it misbehaves, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    drop_after: int | None = None  # bytes sent before the line drops
    drops: int = 1  # how often it does
    ranges: bool = True
    status: int = 200
    requests: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server({"/w.pth": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.requests.append(asked)
            content = state.files.get(self.path)
            if content is None or state.status != 200:
                self.send_error(404 if content is None else state.status)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = len(content)
            if state.drop_after is not None and state.drops:
                state.drops -= 1
                end = min(end, start + state.drop_after)
            self.wfile.write(content[start:end])

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{http.server_port}"
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("KINOSCOPE_MODELS", str(folder))
    monkeypatch.setattr(module, "PAUSES_S", (0.01, 0.01))
    return folder


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in files.items():
            opened.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()


def test_a_download_arrives_whole_verified_and_reported(server: Server, models: Path) -> None:
    seen: list[DownloadProgress] = []
    fetch(f"{server.url}/w.pth", models / "w.pth", SHA256[:8], seen.append)
    assert (models / "w.pth").read_bytes() == CONTENT
    assert seen[-1] == DownloadProgress("w.pth", len(CONTENT), len(CONTENT))
    assert [p.done_bytes for p in seen] == sorted(p.done_bytes for p in seen)
    assert json.loads(record_path(models / "w.pth").read_text())["sha256"] == SHA256
    assert not (models / "w.pth.part").exists()


def test_a_dropped_line_is_taken_up_where_it_broke(server: Server, models: Path) -> None:
    server.drop_after, server.drops = 200_000, 3
    fetch(f"{server.url}/w.pth", models / "w.pth", SHA256[:8])
    assert (models / "w.pth").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=200000-", "bytes=400000-", "bytes=600000-"]


def test_a_server_without_ranges_starts_again(server: Server, models: Path) -> None:
    server.drop_after, server.ranges = 200_000, False
    fetch(f"{server.url}/w.pth", models / "w.pth", SHA256[:8])
    assert (models / "w.pth").read_bytes() == CONTENT


def test_a_stopped_download_goes_on_next_time(server: Server, models: Path) -> None:
    def stop(progress: DownloadProgress) -> None:
        if progress.done_bytes > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.url}/w.pth", models / "w.pth", SHA256[:8], stop)
    done = (models / "w.pth.part").stat().st_size
    assert 0 < done < len(CONTENT) and not (models / "w.pth").exists()
    fetch(f"{server.url}/w.pth", models / "w.pth", SHA256[:8])
    assert server.requests[-1] == f"bytes={done}-"
    assert (models / "w.pth").read_bytes() == CONTENT


def test_what_is_left_of_another_file_is_thrown_away(server: Server, models: Path) -> None:
    (models / "w.pth.part").write_bytes(b"x" * (len(CONTENT) + 5))
    fetch(f"{server.url}/w.pth", models / "w.pth", SHA256[:8])
    assert (models / "w.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("case", ["wrong", "missing", "offline", "always dropped", "no archive"])
def test_failures_name_file_url_and_folder_and_leave_nothing(server: Server, models: Path, case: str) -> None:
    url, path, prefix = f"{server.url}/w.pth", models / "w.pth", SHA256[:8]
    reason = {
        "wrong": "is not w.pth: its SHA-256 begins with",
        "missing": "the server answered 404",
        "offline": "no connection",
        "always dropped": "the connection was lost",
        "no archive": "it is no archive",
    }[case]
    if case == "wrong":
        server.files["/w.pth"] = b"<html>a login page</html>"
    elif case == "missing":
        server.files.clear()
    elif case == "offline":
        url = "http://127.0.0.1:9/w.pth"
    elif case == "always dropped":
        server.drop_after, server.drops = 0, 99
    else:
        server.files["/w.zip"] = b"<html>a login page</html>"
        url, path, prefix = f"{server.url}/w.zip", models / "w.zip", ""
    with pytest.raises(EstimatorError) as error:
        fetch(url, path, prefix)
    text = str(error.value)
    assert reason in text and url in text and str(models) in text and path.name in text
    assert not path.exists() and not record_path(path).exists()


def test_two_who_ask_at_once_fetch_once(server: Server, models: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(fetch, f"{server.url}/w.pth", models / "w.pth", SHA256[:8]) for _ in range(2)]:
            future.result(timeout=20)
    assert len(server.requests) == 1
    assert (models / "w.pth").read_bytes() == CONTENT


def registered(**changes: str) -> ModelEntry:
    """A user's model whose files come from the test server."""
    lines = {"name": "tiny", "kind": "keypoints", "title": "Tiny", "skeleton": "coco17"} | changes
    user_registry_path().write_text("[[model]]\n" + "\n".join(f'{k} = "{v}"' for k, v in lines.items()))
    return entry("tiny")


def test_an_archive_becomes_the_onnx_file(server: Server, models: Path) -> None:
    server.files["/sdk/tiny.zip"] = archive(**{"a__b__end2end_dot_onnx": b"the model", "a__detail_dot_json": b"{}"})
    registered(onnx_url=f"{server.url}/sdk/tiny.zip")
    assert not entry("tiny").verified
    path = download("tiny")
    assert path == models / "tiny.onnx" and path.read_bytes() == b"the model"
    assert download("tiny") == path and len(server.requests) == 1
    assert entry("tiny").verified
    checks = {c.path.name: c for c in check("tiny")}
    assert checks["tiny.zip"].ok and checks["tiny.onnx"].ok is None
    (models / "tiny.zip").write_bytes(archive(other_dot_onnx=b"another"))
    changed = {c.path.name: c for c in check("tiny")}["tiny.zip"]
    assert changed.ok is False and "changed" in changed.reason


def test_an_archive_put_there_by_hand_is_used(models: Path, server: Server) -> None:
    registered(onnx_url=f"{server.url}/tiny.zip")
    (models / "tiny.zip").write_bytes(archive(end2end_dot_onnx=b"by hand"))
    assert download("tiny").read_bytes() == b"by hand"
    assert server.requests == []


def test_a_checkpoint_is_held_against_its_name(server: Server, models: Path) -> None:
    model = registered(checkpoint_url=f"{server.url}/w.pth", hash8=SHA256[:8])
    assert download("tiny") == models / "w.pth"
    assert check("tiny")[0].ok
    assert installed_checkpoint(model) == models / "w.pth"
    (models / "w.pth").write_bytes(b"cut off")
    assert check("tiny")[0].ok is False
    with pytest.raises(EstimatorError, match="damaged or another file"):
        installed_checkpoint(model)


def test_nothing_to_download_is_said() -> None:
    with pytest.raises(EstimatorError, match=r"nothing to download for blazepose\. Install the package"):
        download("blazepose")


def test_no_path_in_an_archive_is_followed(models: Path) -> None:
    evil = models / "evil.zip"
    evil.write_bytes(archive(**{"..__..__end2end_dot_onnx": b"out"}))
    extract_onnx(evil, models / "inside.onnx")
    assert (models / "inside.onnx").read_bytes() == b"out"
    assert {p.name for p in models.parent.rglob("*") if p.is_file()} == {"evil.zip", "inside.onnx"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (archive(readme=b"x"), "0 ONNX files"),
        (archive(a_dot_onnx=b"x", b_dot_onnx=b"y"), "2 ONNX files"),
        (archive(end2end_dot_onnx=b"x" * 1000)[:-60], "damaged"),
    ],
)
def test_bad_archives_are_refused(models: Path, content: bytes, text: str) -> None:
    (models / "bad.zip").write_bytes(content)
    with pytest.raises(EstimatorError, match=text):
        extract_onnx(models / "bad.zip", models / "out.onnx")
    assert not (models / "out.onnx").exists()
