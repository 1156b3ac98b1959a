"""The downloads of a scored clip, one table a stage, and the same on the command line."""

from __future__ import annotations

import orjson
import streamlit as st

from pipeline.runs import Run
from pipeline.scoring.assess import AUTO, STAGES, Assessment, ChainOptions
from pipeline.scoring.kept import result_name, tables

FILES = {**STAGES, "frames": "Sampled frames", "costs": "Points by joint and moment"}


def downloads(run: Run, found: Assessment) -> None:
    """One button a stage; the tables are those kept in the run."""
    stem = f"{run.id}-{result_name(found)}"
    with st.container(horizontal=True):
        for stage, label in FILES.items():
            path = run.file(f"{result_name(found)}-{stage}.csv")
            if path is None or stage not in _made(found):
                continue
            st.download_button(
                f"{label} (CSV)", path.read_bytes, file_name=f"{stem}-{stage}.csv", mime="text/csv",
                icon=":material/table_view:", key=f"download-{stem}-{stage}", on_click="ignore",
            )  # fmt: skip
        st.download_button(
            "Result (JSON)", lambda: orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2),
            file_name=f"{stem}.json", mime="application/json", icon=":material/data_object:",
            key=f"download-{stem}-json", on_click="ignore",
        )  # fmt: skip
    st.caption(f"Kept in the run as `results/{result_name(found)}.json` and `{result_name(found)}-STAGE.csv`.")


def _made(found: Assessment) -> set[str]:
    """The stages that this result has tables of (a file of an earlier, longer result may lie there still)."""
    return {"pose", *tables(found, None)}


def command(run_id: str, options: ChainOptions) -> str:
    """The command line that does the same."""
    parts = ["python -m pipeline score", run_id, f"--exercise {options.exercise}"]
    if options.person is not None:
        parts.append(f"--person {options.person}")
    usual = ChainOptions()
    parts += [
        f"--{name.replace('_', '-')} {getattr(options, name)}"
        for name in ("lift", "scorer", "height_m")
        if getattr(options, name) != getattr(usual, name)
    ]
    assert usual.exercise == AUTO
    return " ".join(parts)
