"""What stays of an analysed set: the result in the run, the downloads, the command line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Literal

import orjson
import streamlit as st
from matplotlib.figure import Figure

from pipeline.movements.analyze import AUTO, UNKNOWN, movement_named
from pipeline.movements.base import MovementReport
from pipeline.movements.figures import curves_figure, figure_bytes, repetitions_figure, repetitions_table
from pipeline.movements.video import find_video, result_name
from pipeline.runs import Run
from UserInterface.components.movement_state import View
from UserInterface.components.words import plain


def keep(run: Run, report: MovementReport) -> str:
    """Store the report in the run when it changed; a sentence that says where, or why not (empty for no finding)."""
    if report.movement == UNKNOWN and not report.repetitions:
        return ""
    name = result_name(report)
    document = report.to_json()
    digest = hashlib.sha256(orjson.dumps(document)).hexdigest()
    state = f"kept-{run.id}-{name}"
    if st.session_state.get(state) != digest:
        try:
            run.add_result(name, document)
        except (ValueError, OSError) as error:
            return f"The result could not be kept in the run: {plain(str(error), 200)}"
        st.session_state[state] = digest
    return f"The result is kept in the run as `results/{name}.json`, with the thresholds that made it."


def downloads(view: View) -> None:
    """One button a file; nothing is made before somebody presses it."""
    run, report = view.run, view.report
    stem = f"{run.id}-{result_name(report)}"
    with st.container(horizontal=True):
        if report.repetitions:
            _button(
                "Repetitions (CSV)", lambda: repetitions_table(report).to_csv(index=False).encode(), f"{stem}.csv",
                "text/csv", ":material/table_view:",
            )  # fmt: skip
        _button(
            "Report (JSON)", lambda: orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2), f"{stem}.json",
            "application/json", ":material/data_object:",
        )  # fmt: skip
        if (film := find_video(run, report)) is not None:
            _button("Annotated video", film.read_bytes, f"{stem}.mp4", "video/mp4", ":material/movie:")
        drawings: list[tuple[str, Callable[[MovementReport], Figure]]] = []
        if report.curves:
            drawings.append(("Curves", curves_figure))
        if report.repetitions:
            drawings.append(("Tempo and depth", repetitions_figure))
        kinds: tuple[Literal["png", "svg"], ...] = ("png", "svg")
        for label, draw in drawings:
            for kind in kinds:
                _button(
                    f"{label} ({kind.upper()})", _drawn(draw, report, kind),
                    f"{stem}-{label.split()[0].lower()}.{kind}",
                    "image/png" if kind == "png" else "image/svg+xml", ":material/image:",
                )  # fmt: skip


def _drawn(
    draw: Callable[[MovementReport], Figure], report: MovementReport, kind: Literal["png", "svg"]
) -> Callable[[], bytes]:
    return lambda: figure_bytes(draw(report), kind)


def _button(label: str, data: Callable[[], bytes], name: str, mime: str, icon: str) -> None:
    st.download_button(label, data, file_name=name, mime=mime, icon=icon, key=f"download-{name}", on_click="ignore")


def show_command(run: Run, report: MovementReport, chosen: str) -> None:
    """The same without this page: one command line."""
    st.markdown("##### The same on the command line")
    st.code(command(run.id, report, chosen), language="bash", wrap_lines=True)


def command(run_id: str, report: MovementReport, chosen: str) -> str:
    """The command line that does the same, thresholds of one's own included."""
    presets = movement_named(report.movement).presets
    own = report.preset not in presets
    parts = ["python -m pipeline analyze", run_id]
    parts.append(f"--movement {report.movement if own or chosen != AUTO else AUTO}")
    parts.append(f"--person {report.person}")
    if own:
        standard = asdict(presets["standard"])
        changed = {name: value for name, value in report.parameters.items() if value != standard[name]}
        parts += [f"--threshold {name}={value:g}" for name, value in changed.items()]
    elif report.preset != "standard":
        parts.append(f"--preset {report.preset}")
    return " ".join(parts)
