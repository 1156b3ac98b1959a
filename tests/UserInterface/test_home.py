"""Home: says what there is, and opens the sample."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pipeline.runs import RunStore
from pipeline.sample import SAMPLE_NAME, SAMPLE_TAG
from tests.UserInterface.conftest import StandingPeople, healthy, make_run, open_page, texts
from UserInterface.components.home_view import icon
from UserInterface.components.words import plain


def try_the_sample(app: AppTest, go_on: threading.Event) -> AppTest:
    healthy(app.button(key="try-sample").click().run())
    job = app.session_state["job"]
    go_on.set()
    job.wait(20)
    return healthy(app.switch_page("pages/01_Inference.py").run())


def test_home_works_with_an_empty_store(store: RunStore) -> None:
    app = open_page()
    assert app.title[0].value == "Kinoscope"
    assert "Try the sample" in [b.label for b in app.button]
    assert not app.get("plotly_chart")
    assert not store.folder.exists()


def test_home_shows_the_sample_when_there_is_one(store: RunStore, clip: Path) -> None:
    make_run(store, clip)
    make_run(store, clip, tags=(SAMPLE_TAG,), name=SAMPLE_NAME)
    assert len(open_page().get("plotly_chart")) == 3


@pytest.mark.usefixtures("sample")
def test_try_the_sample_makes_it_once_and_opens_it(store: RunStore, estimator: StandingPeople) -> None:
    go_on = threading.Event()
    estimator.before_frame = lambda _frame: go_on.wait(20) and None
    app = try_the_sample(open_page(), go_on)
    assert app.query_params["run"] in (store.runs()[0].id, [store.runs()[0].id])
    assert app.subheader[0].value == plain(SAMPLE_NAME)
    again = open_page()
    healthy(again.button(key="try-sample").click().run())
    assert len(store.runs()) == 1
    assert again.subheader[0].value == plain(SAMPLE_NAME)


@pytest.mark.usefixtures("sample")
def test_a_broken_sample_is_a_sentence(store: RunStore, estimator: StandingPeople) -> None:
    go_on = threading.Event()

    def fail(_frame: int) -> None:
        go_on.wait(20)
        raise OSError("The disk is full; free some space.")

    estimator.before_frame = fail
    app = try_the_sample(open_page(), go_on)
    assert "The disk" in texts(app.error)
    assert not store.runs()


def test_the_icon_is_drawn() -> None:
    assert icon().size == (64, 64)
    assert len(icon().getcolors() or []) >= 3
