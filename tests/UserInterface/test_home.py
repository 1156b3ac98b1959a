"""Home: says what there is, and opens the sample."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from pipeline.runs import RunStore
from tests.UserInterface.conftest import healthy, make_run, open_page, texts
from UserInterface.components.home_view import icon


def test_home_works_with_an_empty_store(store: RunStore) -> None:
    app = open_page()
    assert app.title[0].value == "Kinoscope"
    assert "Try the sample" in [b.label for b in app.button]
    assert not app.get("plotly_chart")
    assert not store.folder.exists()


def test_home_shows_the_sample_when_there_is_one(store: RunStore, clip: Path) -> None:
    make_run(store, clip)
    make_run(store, clip, tags=("sample",))
    app = open_page()
    assert len(app.get("plotly_chart")) == 3


def test_try_the_sample_makes_it_once_and_opens_it(store: RunStore, sample: SimpleNamespace) -> None:
    app = open_page()
    healthy(app.button(key="try-sample").click().run())
    app.session_state["job"].wait(20)
    healthy(app.run())
    run = store.runs()[0]
    assert app.query_params["run"] in (run.id, [run.id])
    assert app.subheader[0].value == r"squat \*one\*\.mp4"
    again = open_page()
    healthy(again.button(key="try-sample").click().run())
    assert len(store.runs()) == 1
    assert again.subheader[0].value == r"squat \*one\*\.mp4"


def test_a_broken_sample_is_a_sentence(store: RunStore, sample: SimpleNamespace) -> None:
    def fail(_store: RunStore) -> None:
        raise OSError("The disk is full; free some space.")

    sample.ensure_sample_run = fail
    app = open_page()
    healthy(app.button(key="try-sample").click().run())
    app.session_state["job"].wait(20)
    assert texts(healthy(app.run()).error) == "The disk is full; free some space."


def test_the_icon_is_drawn() -> None:
    assert icon().size == (64, 64)
    assert len(set(icon().getdata())) >= 3
