"""Clips in a Google bucket, runs into one: an emulator in this process stands in for Google."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import gcsfs  # type: ignore[import-untyped]
import pandas as pd
import pytest
from gcp_storage_emulator.server import RequestHandler  # type: ignore[import-untyped]
from gcp_storage_emulator.storage import Storage  # type: ignore[import-untyped]
from gcsfs.extended_gcsfs import BucketType  # type: ignore[import-untyped]

from pipeline.batch.batch import open_batch, run_batch
from pipeline.batch.items import find_items
from pipeline.batch.places import Place
from pipeline.poses import Recording
from pipeline.training.recognition_sources import open_file
from tests.pipeline.batch.conftest import FRAMES, CountingPeople


class _Google(RequestHandler):
    """The emulator, and two buckets that it keeps from strangers (it lets everybody in by itself)."""

    def do_GET(self) -> None:
        refused = next((status for status in (401, 403) if f"/b/private{status}/" in self.path), None)
        if refused:
            self.send_error(refused, "Anonymous caller")
        else:
            super().do_GET()


async def _ordinary(_files: gcsfs.GCSFileSystem, _bucket: str) -> BucketType:
    return BucketType.NON_HIERARCHICAL


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, clips: Path) -> Iterator[gcsfs.GCSFileSystem]:
    """A bucket "lab" with the clips in it, seen by somebody who shares no cache with the batch."""
    server = HTTPServer(("127.0.0.1", 0), partial(_Google, Storage(use_memory_fs=True)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    # The environment, which fsspec reads once when it is imported.
    given = {"FSSPEC_GS_TOKEN": "anon", "FSSPEC_GS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
    monkeypatch.setattr(fsspec.config, "conf", {})
    fsspec.config.set_conf_env(fsspec.config.conf, given)
    # The one question that gcsfs asks by gRPC, which the emulator does not speak: is it a bucket with real folders?
    monkeypatch.setattr(gcsfs.GCSFileSystem, "_get_bucket_type", _ordinary)
    files = gcsfs.GCSFileSystem(skip_instance_cache=True, use_listings_cache=False)
    files.mkdir("lab")
    for path in clips.rglob("*.m*"):
        files.put_file(str(path), f"lab/clips/{path.relative_to(clips)}")
    yield files
    gcsfs.GCSFileSystem.clear_instance_cache()
    server.shutdown()
    server.server_close()


def test_a_google_bucket_is_a_folder_like_any_other(bucket: gcsfs.GCSFileSystem, model: CountingPeople) -> None:
    out = "gs://lab/out"
    assert [item.name for item in find_items(["gs://lab/clips/*.mp4"])] == ["a.mp4"]
    batch = run_batch(open_batch(["gs://lab/clips"], ("infer", "repetitions"), out))
    assert batch.counts() == {"done": 3, "failed": 0, "waiting": 0, "done_before": 0}
    runs = {s.item.name: s.record.run for s in batch.status.values() if s.record}
    assert set(runs) == {"a.mp4", "b with (odd) name.mov", "day 2/a.mp4"}
    folder = f"lab/out/{runs['day 2/a.mp4']}"
    assert json.loads(bucket.cat_file(f"{folder}/manifest.json"))["id"] == runs["day 2/a.mp4"]
    assert len(Recording.from_json(bucket.cat_file(f"{folder}/poses.json"))) == FRAMES
    assert bucket.isfile(f"{folder}/results/repetitions.json")
    table = pd.read_parquet(io.BytesIO(bucket.cat_file("lab/out/batches/batch/summary.parquet")))
    assert set(table["run"]) == set(runs.values())
    assert model.shown == 3 * FRAMES
    assert run_batch(open_batch(["gs://lab/clips"], ("infer",), out, resume=True)).counts()["done_before"] == 3

    for record in Place(f"{out}/batches/batch/items").names():
        bucket.rm_file(f"lab/out/batches/batch/items/{record}")
    bucket.rm_file(f"{folder}/manifest.json")  # a worker elsewhere that died before its last file
    run_batch(open_batch(["gs://lab/clips"], ("infer",), out, resume=True))
    assert model.shown == 4 * FRAMES, "whole runs are found and kept, the half one is made again"
    assert bucket.isfile(f"{folder}/manifest.json")
    assert len([path for path in bucket.find("lab/out") if path.endswith("manifest.json")]) == 3


def test_training_reads_its_data_from_a_google_bucket(bucket: gcsfs.GCSFileSystem, clips: Path) -> None:
    content = (clips / "day 2" / "a.mp4").read_bytes()
    assert open_file("gs://lab/clips/", "day 2/a.mp4").read() == content == bucket.cat_file("lab/clips/day 2/a.mp4")
    with pytest.raises(FileNotFoundError):
        open_file("gs://lab/clips", "none.mp4")


def test_a_google_bucket_that_is_not_there_is_said(bucket: gcsfs.GCSFileSystem, clips: Path) -> None:
    assert bucket.exists("lab")
    with pytest.raises(ValueError, match="gs://nowhere"):
        find_items(["gs://nowhere/clips"])
    with pytest.raises(ValueError, match="gs://nowhere"):
        run_batch(open_batch([str(clips)], ("infer",), "gs://nowhere/out"))


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("status", [401, 403])
def test_a_google_bucket_that_is_not_ours_is_said(status: int) -> None:
    with pytest.raises(ValueError, match=f"No permission for gs://private{status}/clips .*credentials"):
        find_items([f"gs://private{status}/clips"])


def test_signs_for_folders_are_no_files(bucket: gcsfs.GCSFileSystem, tmp_path: Path) -> None:
    """Google's console and gcsfuse make empty objects whose names end in "/"."""
    for sign in ("lab/clips/", "lab/clips/day 2/", "lab/clips/day 3/"):
        bucket.pipe_file(sign, b"")
    assert len(find_items(["gs://lab/clips"])) == 3
    Place("gs://lab/clips").get_folder(tmp_path / "copy")
    assert (tmp_path / "copy" / "day 2" / "a.mp4").read_bytes() == bucket.cat_file("lab/clips/day 2/a.mp4")
    assert not (tmp_path / "copy" / "day 3").exists()
