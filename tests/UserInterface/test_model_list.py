"""The models on the Inference page: measured, downloaded, run by either engine."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pipeline import doctor
from pipeline.estimation import accelerators
from pipeline.estimation.base import EstimatorError
from pipeline.estimation.download import DownloadProgress
from pipeline.estimation.registry import entry
from tests.UserInterface.conftest import healthy, open_page, texts
from UserInterface.components import model_list
from UserInterface.components.task import Task

PAGE = "pages/01_Inference.py"


def end(app: AppTest) -> AppTest:
    """The page after the work has ended, which it may have while it was drawn."""
    if model_list.TASK in app.session_state:
        task: Task = app.session_state[model_list.TASK]
        task.wait(20)
        assert not task.running
        healthy(app.run())
    return app


pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def nothing_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_remembered_path", lambda model: tmp_path / f"speed-{model.name}.json")


def test_measured_speed_and_memory_stand_beside_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def measure(name: str) -> dict[str, object]:
        if name != "blazepose":
            raise EstimatorError(f"{name} could not be measured: it is too hot.")
        (tmp_path / "speed-blazepose.json").write_text(
            '{"what": "people followed", "frames_per_s": 47.3, "frame_ms": 20.1, "peak_mib": 512, "device": "CPU",'
            ' "working_points": {"fast": 60.2, "balanced": 47.3, "thorough": 9.6}}'
        )
        return {}

    monkeypatch.setattr(doctor, "measure", measure)
    app = open_page(PAGE)
    table = next(frame.value for frame in app.dataframe if "memory (MiB)" in frame.value)
    assert table["frames/s"].isna().all()
    assert set(table["measured"]) == {"not yet"}
    app = end(healthy(app.button(key="measure-models").click().run()))
    table = next(frame.value for frame in app.dataframe if "memory (MiB)" in frame.value)
    row = table[table["model"] == entry("blazepose").title].iloc[0]
    assert (row["frames/s"], row["memory (MiB)"]) == (47.3, 512)
    assert "rtmpose-t-actor could not be measured: it is too hot" in texts(app.error)
    assert app.selectbox[0].options == [f"{entry('blazepose').title} · 47 frames/s here"]
    options = texts(app.selectbox(key="working_point").options)
    assert "(60 frames/s here)" in options and "(10 frames/s here)" in options


def test_a_download_tells_how_far_it_is_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def download(name: str, progress: object) -> None:
        assert name == "rtmpose-m" and callable(progress)
        progress(DownloadProgress("rtmpose-m.zip", 25_000_000, 100_000_000))
        begun.set()
        go_on.wait(20)
        progress(DownloadProgress("rtmpose-m.zip", 100_000_000, 100_000_000))

    monkeypatch.setattr(model_list, "download", download)
    app = healthy(open_page(PAGE).button(key="get-rtmpose-m").click().run())
    assert begun.wait(20)
    task: Task = app.session_state[model_list.TASK]
    assert (task.text, task.share) == ("rtmpose-m.zip, 25.0 of 100.0 MB", 0.25)
    healthy(app.run())
    assert app.button(key="get-rtmpose-s").disabled
    task.stop()
    go_on.set()
    app = end(app)
    assert "goes on from there next time" in texts(app.error)
    app = end(healthy(app.button(key="get-rtmpose-m").click().run()))
    assert "Download rtmpose-m: done." in texts(app.success)


def test_a_download_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, **_: object) -> None:
        raise EstimatorError(f"{name} is not there any more; put it into the folder by hand.")

    monkeypatch.setattr(model_list, "download", download)
    app = end(healthy(open_page(PAGE).button(key="get-rtmdet-nano").click().run()))
    assert "put it into the folder by hand" in texts(app.error)
    assert not app.button(key="get-rtmdet-nano").disabled


def test_pytorch_offers_what_has_pytorch_weights() -> None:
    app = open_page(PAGE)
    assert not any("trained here" in option for option in app.selectbox[0].options)
    app.session_state["engine"] = "mmpose"
    healthy(app.run())
    assert any("trained here" in option for option in app.selectbox[0].options)


def test_an_idle_gpu_is_shown_where_models_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_page(PAGE)
    assert "GPU" not in texts(app.warning)
    monkeypatch.setattr(accelerators.shutil, "which", lambda _name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(accelerators, "_onnxruntime_uses_cuda", lambda: False)
    monkeypatch.setattr(accelerators, "_torch_uses_cuda", lambda: True)
    assert "A GPU sits idle: the installed onnxruntime" in texts(healthy(app.run()).warning)
    app.session_state["engine"] = "mmpose"
    assert "GPU" not in texts(healthy(app.run()).warning)
