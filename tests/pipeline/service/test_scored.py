"""A clip of somebody who squats goes in, and its score comes out: the real model, every task of the lab."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from pipeline.poses import Recording
from pipeline.service.app import create_app
from tests.pipeline.batch.conftest import ALIKE, squats_clip
from tests.pipeline.service.conftest import ended, post


def test_a_clip_is_scored_by_the_service(tmp_path: Path) -> None:
    clip = squats_clip(tmp_path / "clips" / "squats.mp4")
    with TestClient(create_app(tmp_path / "store"), base_url="http://localhost") as client:
        job = post(client, clip, tasks="infer,squat,falls,score,recognize").json()["id"]
        done = ended(client, job)
        assert (done["state"], done["error"]) == ("done", "")
        everything = client.get(f"/jobs/{job}/result?poses=true").json()
        score, squat = everything["results"]["score"], everything["results"]["squat"]
        assert score["exercise"] in ALIKE
        assert 0.0 <= score["score"] < 1.0
        assert len(score["repetitions"]) == len(squat["repetitions"]) == 2
        assert everything["results"]["falls"]["events"] == []
        assert [one["exercise"] for one in everything["results"]["recognize"]["segments"]] == ["squat"]
        rows = list(csv.DictReader(io.StringIO(client.get(f"/jobs/{job}/results/score?format=csv").text)))
        assert [float(row["score"]) for row in rows] == [one["score"] for one in score["repetitions"]]
        for verdict in score["verdicts"]:
            address = f"/jobs/{job}/results/score/{verdict['stage']}"
            alone = client.get(address).json()
            assert {name: alone[name] for name in verdict} == verdict
            table = list(csv.DictReader(io.StringIO(client.get(f"{address}?format=csv").text)))
            assert {len(column) for column in alone["table"].values()} <= {len(table)}
            assert alone["ok"] and (table or verdict["stage"] in ("ugly_2d", "bad_3d"))
        assert client.get(f"/jobs/{job}/results/score/jump").status_code == 404
        poses = client.get(f"/jobs/{job}/results/infer").content
        assert len(everything["poses"]["time_s"]) == len(Recording.from_json(poses))
        again = client.post("/poses/score", content=poses).json()  # without pictures, and to 0.01 pixels
        depth = client.post("/poses/score/depth?format=csv", content=poses).text
    assert depth.splitlines()[0] == "time_s,joint,x_m,y_m,z_m,expected_error_m"
    assert len(depth.splitlines()) > 13 * 60
    assert again["exercise"] == score["exercise"]
    np.testing.assert_allclose(again["score"], score["score"], atol=0.2)
