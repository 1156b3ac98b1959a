"""The table of repetitions, and the evidence for what is said about one of them."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path

import pandas as pd
import streamlit as st

from pipeline.media import MediaError, read_frame_at
from pipeline.movements.analyze import movement_named
from pipeline.movements.base import Metric, MovementReport, Remark, RepetitionReport
from pipeline.movements.evidence import amount, evidence_picture, limit_words, reading
from pipeline.movements.figures import main_metric, symmetry
from pipeline.poses import PoseSequence
from UserInterface.components import figures
from UserInterface.components.movement_state import View, choose

ROW_HEIGHT = 64
TABLE_ROWS = 6
THUMBNAIL_PX = 96
EVIDENCE_PX = 720
VERDICTS = {"good": "✓ good", "faults": "▲ faults", "cut off": "✂ cut off", "not judged": "○ not judged"}


def show_table(view: View) -> None:
    metric = main_metric(movement_named(view.report.movement))
    table = repetition_rows(view.report, metric)
    table.insert(0, "picture", [_thumbnail(view, repetition, metric) for repetition in view.report.repetitions])
    depth = "Depth" if metric is None else short_label(metric)
    st.dataframe(
        table,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=min(len(table), TABLE_ROWS) * ROW_HEIGHT + 40,
        key=f"{view.key}-table",
        on_select=lambda: _pick(view),
        selection_mode="single-cell",
        column_config={
            "picture": st.column_config.ImageColumn("", help="The turning point", width=70),
            "number": st.column_config.NumberColumn("No.", width=40),
            "verdict": st.column_config.TextColumn("Verdict", width=122),
            "depth": st.column_config.TextColumn(depth, help=metric.label if metric else None, width=60),
            "tempo": st.column_config.TextColumn(
                "Tempo (s)", help="Seconds of: " + ", ".join(movement_named(view.report.movement).phases), width=104
            ),
            "symmetry": st.column_config.TextColumn("Left-right", help="Difference of the sides", width=72),
        },
    )
    st.caption("Click a repetition: the video goes there, and its evidence shows below.")


def repetition_rows(report: MovementReport, metric: Metric | None) -> pd.DataFrame:
    """The table of repetitions in words: number, verdict, depth, tempo, symmetry; a dash where nothing is known."""
    rows = []
    for repetition in report.repetitions:
        found = reading(repetition, metric.name) if metric else None
        unit = metric.unit if metric else ""
        faults = ", ".join(remark.fault.replace("_", " ") for remark in repetition.remarks)
        rows.append(
            {
                "number": repetition.number,
                "verdict": f"▲ {faults}" if faults else VERDICTS[repetition.verdict],
                "depth": amount(found.value, unit) if found else "–",
                "tempo": tempo(repetition),
                "symmetry": amount(symmetry(repetition, metric.name), unit) if metric else "–",
            }
        )
    columns = ["number", "verdict", "depth", "tempo", "symmetry"]
    table = pd.DataFrame(rows, columns=columns)
    unknown = [name for name in ("depth", "symmetry") if (table[name] == "–").all()]
    return table.drop(columns=unknown)


def tempo(repetition: RepetitionReport) -> str:
    """Seconds of each phase: "1.2 · 0.3 · 1.1"; of the whole where the phases are not clear."""
    parts = [phase.end_s - phase.start_s for phase in repetition.phases]
    return " · ".join(f"{seconds:.1f}" for seconds in parts or [repetition.end_s - repetition.start_s])


def short_label(metric: Metric) -> str:
    """The first words of a metric's label, for a column's head."""
    words = metric.label.split(" (")[0].split(" at ")[0]
    return f"{words[:1].upper()}{words[1:]}"


def _pick(view: View) -> None:
    """The clicked row; a second click on the same cell (which unselects it) means the same one."""
    cells = st.session_state[f"{view.key}-table"].selection.cells
    row = cells[0][0] if cells else st.session_state.get(f"{view.key}-row")
    if row is not None and row < len(view.report.repetitions):
        st.session_state[f"{view.key}-row"] = row
        choose(view, view.report.repetitions[row])


def show_repetition(view: View) -> None:
    """The chosen repetition: its remarks as buttons, the evidence, all measurements."""
    repetition = view.repetition
    if repetition is None:
        return
    rows = view.report.repetitions
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**Repetition {repetition.number} of {len(rows)}** · {VERDICTS[repetition.verdict]}")
        for text, icon, step in (("Back", "skip_previous", -1), ("Next", "skip_next", 1)):
            number = repetition.number + step
            st.button(
                text, icon=f":material/{icon}:", key=f"{view.key}-{text.lower()}",
                disabled=not 1 <= number <= len(rows), on_click=choose,
                args=(view, rows[min(max(number, 1), len(rows)) - 1]),
            )  # fmt: skip
    chosen = view.remark
    for remark in repetition.remarks:
        side = "" if remark.side == "both" else f", {remark.side}"
        st.button(
            f"{remark.label}{side}: {amount(remark.value, remark.unit)} ({limit_words(remark)})",
            icon=":material/warning:",
            key=f"{view.key}-remark-{repetition.number}-{remark.fault}",
            type="primary" if remark == chosen else "secondary",
            on_click=choose,
            args=(view, repetition, remark.fault),
            width="stretch",
        )
    if repetition.remarks:
        st.button(
            "The turning point",
            icon=":material/flag:",
            key=f"{view.key}-turn-{repetition.number}",
            type="primary" if chosen is None else "secondary",
            on_click=choose,
            args=(view, repetition, ""),
            width="stretch",
        )
    _evidence(view, repetition, chosen)
    with st.expander("All measurements of this repetition", icon=":material/straighten:"):
        st.table(measurement_rows(view.report, repetition), border="horizontal", hide_index=True)


def _evidence(view: View, repetition: RepetitionReport, remark: Remark | None) -> None:
    metric = main_metric(movement_named(view.report.movement))
    time_s = repetition.turn_s if remark is None else remark.time_s
    try:
        st.image(_picture(view, repetition, remark, metric, EVIDENCE_PX), width="stretch")
    except MediaError as error:
        st.warning(str(error), icon=":material/broken_image:")
    if remark is None:
        st.caption(f"The turning point, at {time_s:.2f} s." + ("" if view.run.source else " The source clip is gone."))
        return
    st.markdown(f"**{remark.advice}**")
    rows = {
        "Measured": f"{amount(remark.value, remark.unit)} ± {amount(remark.error, remark.unit)} at {time_s:.2f} s",
        "Limit": f"{limit_words(remark)}",
        "Where the limit comes from": remark.threshold_source,
        "Severity": remark.severity,
        "Confidence": f"{remark.confidence:.0%}",
    }
    st.markdown("  \n".join(f":gray[{name}:] {value}" for name, value in rows.items()))


def measurement_rows(report: MovementReport, repetition: RepetitionReport) -> pd.DataFrame:
    """Every reading in words, the refused ones with their reason; the mean of the sides where both were seen."""
    movement = movement_named(report.movement)
    sides = Counter(one.metric for one in repetition.metrics if not one.refused and one.side != "both")
    rows = []
    for one in repetition.metrics:
        if one.side == "both" and sides[one.metric] == 1:
            continue
        metric = movement.metric(one.metric)
        value = f"{amount(one.value, metric.unit)} ± {amount(one.error, metric.unit)}"
        rows.append(
            {
                "Measured": short_label(metric),
                "Side": one.side,
                "Value": "not shown" if one.refused else value,
                "Remark": one.refused or ("for information" if metric.information else ""),
            }
        )
    return pd.DataFrame(rows, columns=["Measured", "Side", "Value", "Remark"])


def _thumbnail(view: View, repetition: RepetitionReport, metric: Metric | None) -> str | None:
    """The turning point as a data address; None when the source is gone or does not decode."""
    if view.run.source is None:
        return None
    try:
        picture = _picture(view, repetition, None, metric, THUMBNAIL_PX, close=True)
    except MediaError:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode()


def _picture(
    view: View,
    repetition: RepetitionReport,
    remark: Remark | None,
    metric: Metric | None,
    height_px: int,
    *,
    close: bool = False,
) -> bytes:
    """An evidence picture as JPEG, drawn once. Raises MediaError."""
    source = view.run.source
    what = f"{view.run.id} {view.report.person} {repetition} {metric.name if metric else ''}"
    path = "" if source is None else str(source)
    return _draw(what, remark, path, height_px, close, view.person, repetition, metric)


@st.cache_data(max_entries=300, show_spinner=False)
def _draw(
    what: str,  # noqa: ARG001 -- part of the cache's key, like all arguments without an underscore
    remark: Remark | None,
    path: str,
    height_px: int,
    close: bool,
    _person: PoseSequence,
    _repetition: RepetitionReport,
    _metric: Metric | None,
) -> bytes:
    time_s = _repetition.turn_s if remark is None else remark.time_s
    image = read_frame_at(Path(path), time_s).image if path else None
    picture = evidence_picture(image, _person, _repetition, remark, _metric, height_px=height_px, close=close)
    return figures.jpeg(picture)
