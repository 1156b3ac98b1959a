"""The dashboard: `streamlit run UserInterface/Home.py`, from any folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from UserInterface.components import home_view, session  # noqa: E402
from UserInterface.components.progress import sidebar_status  # noqa: E402

# script or function, title, icon; the file names give the addresses
PAGES: tuple[tuple[str | Callable[[], None], str, str], ...] = (
    (home_view.show, "Home", ":material/home:"),
    (session.INFERENCE_PAGE, "Inference", ":material/directions_run:"),
    ("pages/02_Webcam_Record.py", "Webcam Record", ":material/videocam:"),
    (session.OUTPUTS_PAGE, "Outputs", ":material/folder_open:"),
    ("pages/04_Movement_Analyzer.py", "Movement Analyzer", ":material/exercise:"),
    ("pages/05_Fall_Detection.py", "Fall Detection", ":material/personal_injury:"),
    ("pages/06_Exercise_Scoring.py", "Exercise Scoring", ":material/speed:"),
    ("pages/07_Exercise_Recognition.py", "Exercise Recognition", ":material/sports_gymnastics:"),
    ("pages/08_Batch.py", "Batch", ":material/dynamic_feed:"),
)

st.set_page_config(page_title="Kinoscope", page_icon=home_view.icon(), layout="wide")
pages = [
    st.Page(page, title=title, icon=icon, default=number == 0, url_path=title.replace(" ", "_"))
    for number, (page, title, icon) in enumerate(PAGES)
]
page = st.navigation(pages)
st.session_state["home"] = True  # the pages ask for it
if page.title != "Inference" and session.current_job() is not None:
    with st.sidebar:
        sidebar_status()
page.run()
