"""What stays of a recognised clip: labels corrected by hand, downloads, the command line."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pandas as pd
import streamlit as st

from pipeline.recognition.classes import CLASSES, RecognitionError, label
from pipeline.recognition.features import FAMILIES, catalogue, feature_table
from pipeline.recognition.labels import LabelledSpan, checked_spans, labels_file, spans_of
from pipeline.recognition.recognizer import MOTION
from pipeline.runs import Run
from UserInterface.components.recognition_view import RecognitionView
from UserInterface.components.words import plain

NAMES = {label(name): name for name in CLASSES}


def keep(run: Run, view: RecognitionView) -> str:
    """Store the answer in the run when it changed; a sentence that says where, or why not."""
    document = view.found.to_json()
    digest = hashlib.sha256(orjson.dumps(document)).hexdigest()
    state = f"kept-{run.id}-recognition"
    if st.session_state.get(state) != digest:
        try:
            run.add_result("recognition", document)
        except (ValueError, OSError) as error:
            return f"The result could not be kept in the run: {plain(str(error), 200)}"
        st.session_state[state] = digest
    return "The result is kept in the run as `results/recognition.json`."


def correct(view: RecognitionView) -> None:
    """A table of one person's labels to correct, and the corrected ones as a file to train with."""
    people = [person.person for person in view.recording.people]
    person = (
        st.selectbox("Whose labels", people, format_func=lambda one: f"Person {one}", key=f"{view.key}-whose")
        if len(people) > 1
        else people[0]
    )
    name = f"recognition-labels-person{person}"
    stored = view.run.results().get(name)
    spans = _stored_spans(stored) if stored else spans_of(view.found.of(person))
    rows = st.data_editor(
        label_rows(spans), num_rows="dynamic", hide_index=True, key=f"{view.key}-labels-{person}-{len(spans)}",
        column_config={
            "start_s": st.column_config.NumberColumn("from (s)", format="%.2f", step=0.01, required=True),
            "end_s": st.column_config.NumberColumn("to (s)", format="%.2f", step=0.01, required=True),
            "exercise": st.column_config.SelectboxColumn("exercise", options=list(NAMES), required=True),
        },
    )  # fmt: skip
    st.caption("Add, change or remove rows. Time that no row covers counts as no known exercise.")
    try:
        corrected = checked_spans(_rows(rows), *view.span_s)
    except RecognitionError as error:
        st.warning(str(error), icon=":material/edit_off:")
        return
    with st.container(horizontal=True):
        st.button(
            "Keep these labels in the run", icon=":material/save:", key=f"{view.key}-keep-labels",
            on_click=_keep_labels, args=(view.run, name, corrected),
        )  # fmt: skip
        sequence = view.recording.person(person)
        st.download_button(
            "Labels to train with (JSON)", lambda: labels_file(sequence, corrected, view.run.id),
            file_name=f"{view.run.id}-person{person}-labels.json", mime="application/json",
            icon=":material/model_training:", key=f"{view.key}-labels-file", on_click="ignore",
        )  # fmt: skip
    if stored:
        st.caption(f"Corrected before: these are the labels of `results/{name}.json`.")
    st.caption(
        "The file holds landmarks without place and size, and no picture. Put its path into `corrected` of a "
        "recognition configuration, then: `python -m pipeline train recognition --config FILE`."
    )


def label_rows(spans: tuple[LabelledSpan, ...]) -> pd.DataFrame:
    """Spans as the rows of the table that is edited."""
    return pd.DataFrame(
        {
            "start_s": pd.Series([span.start_s for span in spans], dtype=float),
            "end_s": pd.Series([span.end_s for span in spans], dtype=float),
            "exercise": pd.Series([label(span.exercise) for span in spans], dtype=str),
        }
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = ({str(name): value for name, value in row.items()} for row in table.to_dict("records"))
    return [row | {"exercise": NAMES.get(str(row["exercise"]), row["exercise"])} for row in rows]


def _stored_spans(document: dict[str, Any]) -> tuple[LabelledSpan, ...]:
    return tuple(LabelledSpan(s["start_s"], s["end_s"], s["exercise"]) for s in document.get("spans", []))


def _keep_labels(run: Run, name: str, spans: tuple[LabelledSpan, ...]) -> None:
    values = [{"start_s": s.start_s, "end_s": s.end_s, "exercise": s.exercise} for s in spans]
    try:
        run.add_result(name, {"schema_version": 1, "spans": values})
        st.toast("The labels are kept in the run.", icon=":material/save:")
    except (ValueError, OSError) as error:
        st.toast(f"Not kept: {plain(str(error), 150)}", icon=":material/error:")


def downloads(view: RecognitionView, network: str) -> None:
    """The answer and the features as files, and the same on the command line."""
    run = view.run
    with st.container(horizontal=True):
        _button("Segments (JSON)", lambda: orjson.dumps(view.found.to_json(), option=orjson.OPT_INDENT_2),
                f"{run.id}-recognition.json", "application/json", ":material/data_object:")  # fmt: skip
        _button("All 189 features (CSV)", lambda: _features(view, None), f"{run.id}-features.csv", "text/csv",
                ":material/table_view:")  # fmt: skip
        for family in FAMILIES:
            _button(f"{family.capitalize()} (CSV)", lambda family=family: _features(view, family),
                    f"{run.id}-{family}.csv", "text/csv", ":material/table_view:")  # fmt: skip
        _button("What the features are (CSV)", lambda: catalogue().to_csv(index=False).encode(), "features.csv",
                "text/csv", ":material/help:")  # fmt: skip
    st.markdown("##### The same on the command line")
    extra = "" if network == MOTION else f" --network {network}"
    st.code(f"python -m pipeline recognize {run.id}{extra}", language="bash", wrap_lines=True)


def _features(view: RecognitionView, family: str | None) -> bytes:
    tables = [feature_table(person, view.run.id, family) for person in view.recording.people]
    return pd.concat(tables).to_csv(index=False, float_format="%.5g").encode()


def _button(label_: str, data: Any, name: str, mime: str, icon: str) -> None:
    st.download_button(label_, data, file_name=name, mime=mime, icon=icon, key=f"download-{name}", on_click="ignore")
