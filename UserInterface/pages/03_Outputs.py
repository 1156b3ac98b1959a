"""Outputs: every run, to find, look at, keep in order, take away or delete."""

from __future__ import annotations

import streamlit as st

if "home" not in st.session_state:  # a browser that comes straight here after a start: only Home.py builds the app
    st.navigation([st.Page("Home.py"), st.Page(__file__)], position="hidden")
    st.rerun()

from pipeline.runs import Run, RunError
from UserInterface.components import session
from UserInterface.components.import_form import import_form
from UserInterface.components.progress_form import progress_form
from UserInterface.components.run_list import ORDERS, Entry, all_tags, entries, megabytes, search, thumbnail
from UserInterface.components.run_view import show_run
from UserInterface.components.words import plain, summary

PER_PAGE = 12
COLUMNS = 4


def main() -> None:
    """The list, or one run."""
    st.title("Outputs", anchor=False)
    with st.container():  # keeps its place, so that nothing below closes when the notice goes
        if notice := st.session_state.pop("outputs_notice", ""):
            st.success(notice, icon=":material/check_circle:")
    if run_id := st.query_params.get("run"):
        st.button("All runs", icon=":material/arrow_back:", on_click=st.query_params.clear, key="back")
        try:
            _one(session.find_run(run_id))
        except ValueError as error:
            st.error(str(error), icon=":material/error:")
    else:
        _all()


def _all() -> None:
    found = entries(session.store())
    with st.container(horizontal=True):
        with st.popover("Import poses", icon=":material/upload_file:"):
            import_form()
        if any(entry.manifest and entry.manifest.subject for entry in found):
            with st.popover("Progress report", icon=":material/trending_up:"):
                progress_form(found)
    if not found:
        st.info(
            "There are no runs yet. Find the poses in a clip of yours, try the sample, or import poses you have.",
            icon=":material/inbox:",
        )
        st.page_link(session.INFERENCE_PAGE, label="To Inference", icon=":material/play_arrow:")
        return
    columns = st.columns([4, 2], vertical_alignment="bottom")
    text = columns[0].text_input(
        "Search", key="search", placeholder="name, subject, tag, model ...", icon=":material/search:"
    )
    order = columns[1].selectbox("Order", list(ORDERS), key="order")
    chosen = search(found, text, order)
    if not chosen:
        st.info(f"None of the {len(found)} runs matches. Use fewer words.", icon=":material/search_off:")
        return
    pages = -(-len(chosen) // PER_PAGE)
    page = 1
    if pages > 1:
        page = int(st.number_input(f"Page (1 to {pages})", 1, pages, 1, key=f"page-{text}-{order}", width=160))
    st.caption(
        f"{len(chosen)} of {len(found)} runs", help=f"They lie in {plain(str(session.store().folder), 300)}", width=200
    )
    shown = chosen[(page - 1) * PER_PAGE : page * PER_PAGE]
    for row in range(0, len(shown), COLUMNS):
        for column, entry in zip(st.columns(COLUMNS), shown[row : row + COLUMNS], strict=False):
            with column:
                _card(entry)


def _card(entry: Entry) -> None:
    with st.container(border=True, key=f"card-{entry.id}"):
        if entry.manifest is None:
            st.markdown(f"**{plain(entry.name)}**")
            st.warning(entry.error, icon=":material/broken_image:")
            st.button(
                "Delete", icon=":material/delete:", key=f"delete-{entry.id}", on_click=_ask, args=(entry.id, entry.name)
            )
            return
        if (picture := thumbnail(entry)) is not None:
            st.image(picture, width="stretch")
        else:
            st.caption("no picture")
        st.markdown(f"**{plain(entry.name, 40)}**")
        st.caption(summary(entry.manifest))
        with st.container(horizontal=True):
            st.button(
                "View", type="primary", icon=":material/visibility:", key=f"view-{entry.id}", on_click=_view,
                args=(entry.id,),
            )  # fmt: skip
            st.button(
                "Delete", icon=":material/delete:", key=f"delete-{entry.id}", on_click=_ask, args=(entry.id, entry.name)
            )


def _view(run_id: str) -> None:
    st.query_params["run"] = run_id


def _one(run: Run) -> None:
    name = run.id
    try:
        name = str(run.manifest.source.get("name") or run.id)
    except ValueError:
        pass  # show_run says why
    else:
        with st.container(horizontal=True):
            if st.button("Open in Inference", icon=":material/open_in_new:", key="open"):
                st.switch_page(session.INFERENCE_PAGE, query_params={"run": run.id})
            with st.popover("Subject and tags", icon=":material/edit:"):
                _edit(run)
            st.button("Delete", icon=":material/delete:", key="delete", on_click=_ask, args=(run.id, name))
    show_run(run, "outputs")


def _edit(run: Run) -> None:
    with st.form(f"edit-{run.id}", border=False):
        subject = st.text_input("Subject", run.manifest.subject)
        tags = st.multiselect(
            "Tags",
            sorted({*all_tags(session.store()), *run.manifest.tags}),
            default=run.manifest.tags,
            accept_new_options=True,
            placeholder="type a word, press Enter",
        )
        if st.form_submit_button("Save", type="primary"):
            try:
                run.update(subject=subject.strip(), tags=list(tags))
            except RunError as error:
                st.error(str(error))
            else:
                st.session_state["outputs_notice"] = "Subject and tags are saved."
                st.rerun()


def _ask(run_id: str, name: str) -> None:
    st.session_state["delete"] = (run_id, name)


def _forget_question() -> None:
    st.session_state.pop("delete", None)


@st.dialog("Delete this run?", icon=":material/delete:", on_dismiss=_forget_question)
def _confirm(run_id: str, name: str) -> None:
    st.markdown(f"**{plain(name)}** with its poses, video, source and results. This cannot be undone.")
    size = next((e.size_bytes for e in entries(session.store()) if e.id == run_id), 0)
    if size:
        st.caption(f"{megabytes(size)} will be freed.")
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary", key="delete-yes"):
            _forget_question()  # the question is answered
            try:
                session.store().delete(run_id)
            except RunError as error:
                st.error(str(error))
                return
            st.session_state["outputs_notice"] = f"{name[:80]} is deleted."
            st.query_params.clear()
            st.rerun()
        if st.button("Keep it", key="delete-no"):
            _forget_question()
            st.rerun()


main()
if asked := st.session_state.get("delete"):
    _confirm(*asked)
