"""Clips in a bucket, runs into a bucket: moto's server stands in for S3."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from pipeline.batch.batch import open_batch, run_batch
from pipeline.batch.items import find_items
from pipeline.batch.places import Place
from pipeline.poses import Recording
from tests.pipeline.batch.conftest import FRAMES, CountingPeople


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, clips: Path) -> Iterator[s3fs.S3FileSystem]:
    """A bucket "lab" with the clips in it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("lab")
    for path in clips.rglob("*.m*"):
        files.put_file(str(path), f"lab/clips/{path.relative_to(clips)}")
    yield files
    files.rm("lab", recursive=True)  # moto's buckets outlive its server
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_bucket_is_a_folder_like_any_other(bucket: s3fs.S3FileSystem, model: CountingPeople) -> None:
    out = "s3://lab/out"
    assert [item.name for item in find_items(["s3://lab/clips/*.mp4"])] == ["a.mp4"]
    batch = run_batch(open_batch(["s3://lab/clips"], ("infer", "repetitions"), out))
    assert batch.counts() == {"done": 3, "failed": 0, "waiting": 0, "done_before": 0}
    runs = {s.item.name: s.record.run for s in batch.status.values() if s.record}
    folder = f"lab/out/{runs['day 2/a.mp4']}"
    assert json.loads(bucket.cat_file(f"{folder}/manifest.json"))["id"] == runs["day 2/a.mp4"]
    assert len(Recording.from_json(bucket.cat_file(f"{folder}/poses.json"))) == FRAMES
    assert bucket.isfile(f"{folder}/results/repetitions.json")
    assert bucket.isfile("lab/out/batches/batch/summary.parquet")
    assert model.shown == 3 * FRAMES
    assert run_batch(open_batch(["s3://lab/clips"], ("infer",), out, resume=True)).counts()["done_before"] == 3

    for record in Place(f"{out}/batches/batch/items").names():
        bucket.rm_file(f"lab/out/batches/batch/items/{record}")
    bucket.rm_file(f"{folder}/manifest.json")  # a worker that died before its last file
    run_batch(open_batch(["s3://lab/clips"], ("infer",), out, resume=True))
    assert model.shown == 4 * FRAMES, "whole runs are found and kept, the half one is made again"
    assert bucket.isfile(f"{folder}/manifest.json")
    assert len([path for path in bucket.find("lab/out") if path.endswith("manifest.json")]) == 3


def test_a_bucket_that_is_not_there_or_not_ours_is_said(bucket: s3fs.S3FileSystem, clips: Path) -> None:
    assert bucket.exists("lab")
    with pytest.raises(ValueError, match="s3://nowhere"):
        find_items(["s3://nowhere/clips"])
    with pytest.raises(ValueError, match="s3://nowhere"):
        run_batch(open_batch([str(clips)], ("infer",), "s3://nowhere/out"))
