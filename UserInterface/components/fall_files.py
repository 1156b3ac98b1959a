"""What stays of a clip's falls: the result in the run, the downloads, the command line."""

from __future__ import annotations

import hashlib

import orjson
import pandas as pd
import streamlit as st

from pipeline.fall_commands import RESULT
from pipeline.falls.detect import FallReport
from pipeline.falls.film import find_film
from pipeline.falls.forest import DEFAULT_SENSITIVITY
from pipeline.poses import Recording
from pipeline.runs import Run
from UserInterface.components.fall_form import found
from UserInterface.components.words import plain


def keep(run: Run, recording: Recording, sensitivity: str) -> str:
    """Store everybody's falls in the run when they changed; a sentence that says where, or why not."""
    document = found(run.id, recording, None, sensitivity).to_json(curves=True)
    digest = hashlib.sha256(orjson.dumps(document)).hexdigest()
    state = f"kept-{run.id}-{RESULT}"
    if st.session_state.get(state) != digest:
        try:
            run.add_result(RESULT, document)
        except (ValueError, OSError) as error:
            return f"The result could not be kept in the run: {plain(str(error), 200)}"
        st.session_state[state] = digest
    return f"Everybody's falls are kept in the run as `results/{RESULT}.json`, with the sensitivity that made them."


def events_table(report: FallReport) -> pd.DataFrame:
    """One row a fall, units in the column names."""
    rows = [
        {**{name: value for name, value in event.to_json().items() if name not in ("reasons", "peak_probability")},
         "reasons": "; ".join(reason.text for reason in event.reasons)}
        for event in report.events
    ]  # fmt: skip
    columns = ["person", "onset_s", "impact_s", "lying_s", "lying_for_s", "peak_s", "recovered_s", "probability",
               "recovered", "reasons"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def probability_table(report: FallReport) -> pd.DataFrame:
    """One row a person and moment."""
    return pd.concat(
        [
            pd.DataFrame({"person": one.person, "time_s": one.time_s.round(3), "probability": one.probability.round(4)})
            for one in report.people
        ]
        or [pd.DataFrame(columns=["person", "time_s", "probability"])],
        ignore_index=True,
    )


def downloads(run: Run, report: FallReport) -> None:
    """One button a file; nothing is made before somebody presses it."""
    stem = f"{run.id}-falls"
    with st.container(horizontal=True):
        st.download_button(
            "Falls (CSV)", lambda: events_table(report).to_csv(index=False).encode(), f"{stem}.csv", "text/csv",
            icon=":material/table_view:", key="falls-download-csv", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Probability (CSV)", lambda: probability_table(report).to_csv(index=False).encode(),
            f"{stem}-probability.csv", "text/csv", icon=":material/show_chart:", key="falls-download-curve",
            on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Report (JSON)", lambda: orjson.dumps(report.to_json(curves=True), option=orjson.OPT_INDENT_2),
            f"{stem}.json", "application/json", icon=":material/data_object:", key="falls-download-json",
            on_click="ignore",
        )  # fmt: skip
        if (film := find_film(run, report)) is not None:
            st.download_button(
                "Film of the falls", film.read_bytes, f"{stem}.mp4", "video/mp4", icon=":material/movie:",
                key="falls-download-film", on_click="ignore",
            )  # fmt: skip


def show_command(run: Run, person: int | None, sensitivity: str) -> None:
    """The command line that does the same."""
    st.markdown("##### The same on the command line")
    st.code(command(run.id, person, sensitivity), language="bash", wrap_lines=True)


def command(run_id: str, person: int | None, sensitivity: str) -> str:
    """``python -m pipeline falls`` with what is not the default."""
    parts = ["python -m pipeline falls", run_id]
    if person is not None:
        parts.append(f"--person {person}")
    if sensitivity != DEFAULT_SENSITIVITY:
        parts.append(f"--sensitivity {sensitivity.replace(' ', '-')}")
    return " ".join(parts)
