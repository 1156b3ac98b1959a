"""The REST service: a clip's way through it, who may see what, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import errno
import io
import json
import os
import socket
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from pipeline.batch.tasks import TASKS
from pipeline.poses import PoseSequence, Recording
from pipeline.repetitions import RepetitionSet, find_repetitions
from pipeline.runs import RunStore
from pipeline.service.app import create_app
from pipeline.service.options import ServiceOptions
from pipeline.service_commands import tokens_of
from tests.conftest import random_sequence
from tests.pipeline.batch.conftest import FRAMES, CountingPeople, write_clip
from tests.pipeline.service.conftest import ended, no_uploads_left, post

pytestmark = pytest.mark.usefixtures("model")
MINE, YOURS = "my-token-0123456789", "your-token-0123456789"


def bearer(token: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def poses(frames: int = 40) -> Recording:
    person = random_sequence(frames)
    return Recording((person,), person.time_s)


def test_a_clip_s_way(client: TestClient, clip: Path, tmp_path: Path) -> None:
    answer = post(client, clip, "squat day 1.mp4", "infer,repetitions,analyze")
    assert answer.status_code == 202
    job = answer.json()
    assert (job["state"], job["name"], job["tasks"]) == (
        "waiting", "squat day 1.mp4", ["infer", "repetitions", "analyze"],
    )  # fmt: skip
    done = ended(client, job["id"])
    assert (done["state"], done["error"], done["progress"]["share"]) == ("done", "", 1.0)
    assert [entry["id"] for entry in client.get("/jobs").json()["jobs"]] == [job["id"]]
    run = RunStore(tmp_path / "store").get(done["run"])
    result = client.get(f"/jobs/{job['id']}/result").json()
    assert "poses" not in result
    assert result["run"]["frames"] == FRAMES
    assert set(result["results"]) == {"repetitions", "analyze"}
    assert result["results"]["repetitions"] == run.results()["repetitions"]
    everything = client.get(f"/jobs/{job['id']}/result?poses=true").json()
    assert len(everything["poses"]["time_s"]) == FRAMES
    stored = Recording.from_json(client.get(f"/jobs/{job['id']}/results/infer").content)
    np.testing.assert_allclose(stored.people[0].xy_px, run.recording().people[0].xy_px, atol=0.006)
    table = list(csv.DictReader(io.StringIO(client.get(f"/jobs/{job['id']}/results/infer?format=csv").text)))
    assert len(table) == FRAMES * 33
    assert (
        client.get(f"/jobs/{job['id']}/results/repetitions?format=csv").headers["content-type"].startswith("text/csv")
    )
    assert client.get(f"/jobs/{job['id']}/overlay").headers["content-type"] == "video/mp4"
    assert client.get(f"/jobs/{job['id']}/results/squat").status_code == 404
    assert no_uploads_left(tmp_path / "store"), "the run has its own copy"
    assert client.delete(f"/jobs/{job['id']}").status_code == 204
    assert client.get(f"/jobs/{job['id']}").status_code == 404
    assert client.get("/jobs").json() == {"jobs": [], "next": None}
    assert RunStore(tmp_path / "store").runs() == []


def test_a_broken_clip_fails_with_its_reason(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no clip")
    job = post(client, tmp_path / "x.mp4", "holiday.mp4").json()["id"]
    answer = ended(client, job)
    assert answer["state"] == "failed"
    assert "holiday.mp4" in answer["error"]
    assert str(tmp_path) not in answer["error"]
    result = client.get(f"/jobs/{job}/result")
    assert result.status_code == 409
    assert "holiday.mp4" in result.json()["detail"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b.mp4", "..", "x" * 400 + ".mp4", "ü 🎥.mp4", "con\\x.mp4", "a;b.m p4"]
)
def test_names_are_never_paths(name: str, client: TestClient, clip: Path, tmp_path: Path) -> None:
    job = post(client, clip, name).json()
    assert ended(client, job["id"])["state"] == "done"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "store"]
    (run,) = RunStore(tmp_path / "store").runs()
    assert run.id.isascii()
    assert "/" not in run.id


def test_a_job_tells_how_far_it_is_and_stops_when_deleted(
    client: TestClient, model: CountingPeople, tmp_path: Path
) -> None:
    long = write_clip(tmp_path / "long.mp4", frames=40)
    reached, go_on = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        if number == 3:
            reached.set()
            assert go_on.wait(20)

    model.watch = wait
    job = post(client, long).json()["id"]
    other = post(client, long).json()["id"]
    assert reached.wait(20)
    answer = client.get(f"/jobs/{job}").json()
    assert (answer["state"], answer["progress"]["frames_total"]) == ("running", 40)
    assert client.get(f"/jobs/{other}").json()["state"] == "waiting"
    assert client.get(f"/jobs/{job}/result").status_code == 409
    assert client.delete(f"/jobs/{job}").status_code == 204
    assert client.delete(f"/jobs/{other}").status_code == 204
    go_on.set()
    last = post(client, long).json()["id"]
    assert ended(client, last)["state"] == "done"
    assert [run.id for run in RunStore(tmp_path / "store").runs()] == [client.get(f"/jobs/{last}").json()["run"]]
    assert no_uploads_left(tmp_path / "store")


def test_a_job_tells_which_analysis_runs(client: TestClient, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def long(person: PoseSequence) -> RepetitionSet:
        reached.set()
        assert go_on.wait(20)
        return find_repetitions(person)

    monkeypatch.setattr("pipeline.batch.tasks.find_repetitions", long)
    job = post(client, clip, tasks="infer,analyze,repetitions").json()["id"]
    assert reached.wait(20)
    progress = client.get(f"/jobs/{job}").json()["progress"]
    go_on.set()
    assert (progress["task"], progress["frames"], progress["share"]) == ("repetitions", FRAMES, 1.0)
    assert ended(client, job)["state"] == "done"


def test_a_stopped_service_goes_on_where_it_was(model: CountingPeople, clip: Path, tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        if number == 2:
            reached.set()
            assert go_on.wait(20)

    model.watch = wait
    with TestClient(create_app(tmp_path / "store"), base_url="http://localhost") as client:
        made = [post(client, clip).json()["id"] for _ in range(2)]
        assert reached.wait(20)
        threading.Timer(0.2, go_on.set).start()  # once the service is being stopped
    assert RunStore(tmp_path / "store").runs() == []
    with TestClient(create_app(tmp_path / "store"), base_url="http://localhost") as client:
        assert [ended(client, job)["state"] for job in made] == ["done", "done"]
    assert len(RunStore(tmp_path / "store").runs()) == 2


def test_callers_see_only_their_own(clip: Path, tmp_path: Path) -> None:
    with TestClient(create_app(tmp_path / "store", (MINE, YOURS))) as client:
        mine = post(client, clip, **bearer(MINE)).json()["id"]
        assert ended(client, mine, **bearer(MINE))["state"] == "done"
        addresses = [f"/jobs/{mine}{tail}" for tail in ("", "/result", "/results/infer", "/overlay")]
        for address in addresses:
            assert client.get(address, **bearer(MINE)).status_code == 200
            assert client.get(address, **bearer(YOURS)).status_code == 404
            for nobody in ({}, bearer("guess"), bearer(MINE + "x"), {"headers": {"Authorization": f"Basic {MINE}"}}):
                assert client.get(address, **nobody).status_code == 401
        assert client.get("/jobs", **bearer(YOURS)).json()["jobs"] == []
        assert client.delete(f"/jobs/{mine}", **bearer(YOURS)).status_code == 404
        assert post(client, clip).status_code == 401
        assert client.post("/poses/repetitions", content=poses().to_json()).status_code == 401
        assert client.get("/health").status_code == 200
        assert client.get(f"/jobs/{mine}", **bearer(MINE)).status_code == 200
    for file in (tmp_path / "store").rglob("*"):
        assert not file.is_file() or MINE.encode() not in file.read_bytes(), "tokens are stored nowhere"


@pytest.mark.parametrize("header", [b"", b"Bearer guess", b"Basic " + MINE.encode(), b"Bearer \xff"])
def test_a_stranger_s_upload_is_not_even_read(header: bytes, tmp_path: Path) -> None:
    app = create_app(tmp_path / "store", (MINE,), work=False)
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was read")

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/jobs", "raw_path": b"/jobs", "query_string": b"",
        "headers": [(b"authorization", header), (b"content-type", b"multipart/form-data; boundary=b")],
        "server": ("localhost", 80), "client": ("127.0.0.1", 1), "scheme": "http", "root_path": "",
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 401


def test_a_full_disk_while_the_upload_comes_in_is_said(
    client: TestClient, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]
        def write(self, _content: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", Full)
    answer = post(client, clip)
    assert answer.status_code == 507
    assert "No space left" in answer.json()["detail"]


def test_too_large_is_refused_before_it_is_stored(clip: Path, tmp_path: Path) -> None:
    options = ServiceOptions(max_upload_mib=1, max_poses_mib=1)
    big = tmp_path / "big.mp4"
    big.write_bytes(bytes(2 << 20))
    with TestClient(create_app(tmp_path / "store", options=options), base_url="http://localhost") as client:
        assert post(client, big).status_code == 413

        def in_pieces() -> object:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.mp4"\r\n\r\n'
            for _ in range(40):
                yield bytes(64 << 10)
            yield b"\r\n--b--\r\n"

        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        undeclared = client.post("/jobs", content=in_pieces(), headers=kind)  # type: ignore[arg-type]
        assert undeclared.status_code == 413
        assert "1 MiB" in undeclared.json()["detail"]
        assert client.post("/poses/squat", content=bytes(2 << 20)).status_code == 413
        assert client.get("/jobs").json()["jobs"] == []
        assert list((tmp_path / "store" / "service" / "uploads").iterdir()) == []
        assert post(client, clip).status_code == 202


def test_too_many_jobs_are_refused(clip: Path, tmp_path: Path) -> None:
    app = create_app(tmp_path / "store", options=ServiceOptions(max_waiting=2), work=False)
    with TestClient(app, base_url="http://localhost") as client:
        assert [post(client, clip).status_code for _ in range(3)] == [202, 202, 429]
        page = client.get("/jobs?limit=1").json()
        rest = client.get(f"/jobs?limit=1&before={page['next']}").json()
        assert len({page["jobs"][0]["id"], rest["jobs"][0]["id"]}) == 2


def test_a_full_disk_refuses_and_keeps_nothing(
    client: TestClient, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.service.jobs.os.fsync", full)
        answer = post(client, clip)
    assert answer.status_code == 507
    assert "No space left" in answer.json()["detail"]
    assert client.get("/jobs").json()["jobs"] == []
    assert list((tmp_path / "store" / "service" / "uploads").iterdir()) == []


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match="cannot be used"):
        create_app(tmp_path / "file" / "store")


def test_options_are_those_of_infer(client: TestClient, clip: Path) -> None:
    options = {"overlay": False, "subject": "P01", "tags": ["pilot"], "end_s": 0.3}
    with clip.open("rb") as file:
        data = {"tasks": ["infer", "repetitions"], "options": json.dumps(options)}
        job = client.post("/jobs", files={"file": file}, data=data).json()["id"]
    assert ended(client, job)["state"] == "done"
    manifest = client.get(f"/jobs/{job}/result").json()["run"]
    assert (manifest["subject"], manifest["tags"], manifest["frames"]) == ("P01", ["pilot"], 3)
    assert client.get(f"/jobs/{job}/overlay").status_code == 404
    wrong = ("{", "[]", '{"link_source": true}', '{"max_people": 0}', '{"max_people": "x"}', '{"engine": "x"}')
    for text in wrong:
        with clip.open("rb") as file:
            answer = client.post("/jobs", files={"file": file}, data={"options": text})
        assert (answer.status_code, type(answer.json()["detail"])) == (422, str), text
    assert post(client, clip, tasks="fly").status_code == 422


@pytest.mark.parametrize("task", ["repetitions", "analyze", "squat", "angles"])
def test_poses_get_the_answer_of_the_function(task: str, client: TestClient) -> None:
    answer = client.post(f"/poses/{task}", content=poses().to_json())
    assert answer.status_code == 200
    assert answer.json() == json.loads(json.dumps(TASKS[task].of_poses(poses()).values))
    table = client.post(f"/poses/{task}?format=csv", content=poses().to_json())
    rows = list(csv.reader(io.StringIO(table.text)))
    assert len(rows) == 1 + len(TASKS[task].table(answer.json()))
    assert tuple(rows[0][: len(TASKS[task].header)]) == TASKS[task].header


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"schema_version": 1}', b'{"schema_version": 99}',
    b'{"schema_version": 1, "skeleton": null, "people": 3, "time_s": 1, "source": {}, "model": {}}',
    b'{"schema_version": 1, "skeleton": "x", "people": [{}], "time_s": [], "source": {}, "model": {}}',
    b'{"schema_version": 1, "skeleton": null, "people": [], "time_s": [2, 1], "source": {"a": 1}, "model": {}}',
])  # fmt: skip
def test_what_are_no_poses_is_refused_in_words(content: bytes, client: TestClient) -> None:
    answer = client.post("/poses/squat", content=content)
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) > 20


def test_infer_cannot_be_had_from_poses(client: TestClient) -> None:
    answer = client.post("/poses/infer", content=poses().to_json())
    assert (answer.status_code, "needs the clip" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "["}]
)
def test_without_tokens_other_sites_pages_stay_out(headers: dict[str, str], client: TestClient) -> None:
    assert client.get("/jobs", headers=headers).status_code == 403
    assert client.get("/jobs", headers={"Host": "127.0.0.1:8600", "Origin": "http://localhost:8600"}).status_code == 200


def test_the_docs_name_every_operation_and_load_nothing(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    page = client.get("/docs").text
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    for loaded in ("src=", "<script", "@import", "url("):
        assert loaded not in page
    assert set(document["paths"]) >= {"/jobs", "/jobs/{job_id}", "/poses/{task}", "/tasks"}


def test_tokens_come_from_options_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.cli import build_parser, main

    (tmp_path / "tokens").write_text("file-token-0123456789\n\n")
    monkeypatch.setenv("KINOSCOPE_TOKENS", "env-token-0123456789, file-token-0123456789")
    arguments = build_parser().parse_args(["serve", "--token", MINE, "--token-file", str(tmp_path / "tokens")])
    assert tokens_of(arguments) == (MINE, "file-token-0123456789", "env-token-0123456789")
    assert (arguments.host, arguments.port) == ("127.0.0.1", 8600)
    with pytest.raises(ValueError, match="at least 16"):
        tokens_of(build_parser().parse_args(["serve", "--token", "short"]))
    monkeypatch.delenv("KINOSCOPE_TOKENS")
    assert main(["serve", "--host", "0.0.0.0", "--out", str(tmp_path)]) == 1


def test_the_address_is_taken_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.cli import main

    served: list[tuple[str, int]] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda _, sockets: served.append(sockets[0].getsockname()))
    command = ["serve", "--out", str(tmp_path / "store"), "--port"]
    assert main([*command, "0"]) == 0
    assert f"http://127.0.0.1:{served[0][1]}/docs" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as other:
        for port, said in ((other.getsockname()[1], "in use"), (70_000, "0-65535"), (-1, "0-65535")):
            assert main([*command, str(port)]) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert said in line
    assert len(served) == 1
