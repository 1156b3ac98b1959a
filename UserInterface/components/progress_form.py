"""The sessions of one person as a report."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

import streamlit as st

from pipeline.report import Kind, make_progress_report
from pipeline.runs import slug
from UserInterface.components import session
from UserInterface.components.files import REPORTS
from UserInterface.components.run_list import Entry


def progress_form(found: Sequence[Entry]) -> None:
    """A person and one button a kind of file; nothing is made before somebody presses it."""
    sessions = subjects(found)
    if not sessions:
        st.caption("No clip carries a subject's name yet.")
        return
    name = st.selectbox(
        "Subject",
        list(sessions),
        format_func=lambda one: f"{one} ({sessions[one]} {'session' if sessions[one] == 1 else 'sessions'})",
        key="progress-subject",
    )
    st.caption("Dates are the runs' own; a tag such as 2026-03-14 sets the day of a session.")
    for kind, label, mime, icon in REPORTS:
        st.download_button(
            label.replace("Report", "Progress report"),
            partial(_progress, name, kind),
            file_name=f"progress-{slug(name)}.{kind}",
            mime=mime,
            icon=icon,
            key=f"progress-{kind}",
            on_click="ignore",
            width="stretch",
        )


def subjects(found: Sequence[Entry]) -> dict[str, int]:
    """The people with clips, by name, and how many they have."""
    names: Counter[str] = Counter()
    spelling: dict[str, str] = {}
    for entry in found:
        if entry.manifest and entry.manifest.subject.strip() and entry.manifest.source.get("kind") != "image":
            name = " ".join(entry.manifest.subject.split())
            names[spelling.setdefault(name.casefold(), name)] += 1
    return {name: names[name] for name in sorted(names, key=str.casefold)}


def _progress(name: str, kind: Kind) -> BinaryIO:
    return io.BytesIO(make_progress_report(session.store(), name, kind))
