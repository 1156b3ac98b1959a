"""Whom to tell of a fall while the webcam runs: a web hook, a command, and how often at most."""

from __future__ import annotations

import math

import streamlit as st

from pipeline import settings
from pipeline.falls.events import FallEvent
from pipeline.falls.notify import NotifyError, NotifyOptions, message, send

STATE = "falls-notify"


def notify_options() -> NotifyOptions:
    """What this session has set; nobody is told before somebody sets it."""
    options = st.session_state.get(STATE)
    return options if isinstance(options, NotifyOptions) else NotifyOptions(command=settings.fall_command())


def show_notifications() -> None:
    """The form, and a button that sends a trial message."""
    kept = notify_options()
    state = ":material/notifications_active:" if kept.wanted else ":material/notifications_off:"
    with st.expander("Tell somebody, while the webcam runs", icon=state):
        st.caption(
            "At every fall that the webcam page sees, this computer sends a short message: time, person, "
            "probability; never a picture. Nothing is sent unless you name a receiver here, and only as long as this "
            "browser session lasts."
        )
        with st.form("falls-notify-form", border=False):
            webhook = st.text_input("Web hook", kept.webhook, placeholder="https://...", help="Gets a JSON POST.")
            if command := settings.fall_command():
                st.caption(f"This computer also starts `{command}`, the fall as JSON on its standard input.")
            else:
                st.caption("To start a program instead, start Kinoscope with `KINOSCOPE_FALL_COMMAND`.")
            left, middle, right = st.columns(3)
            place = left.text_input("Name of this camera", kept.place, placeholder="hall")
            pause_s = middle.number_input("Pause between messages (s)", 0.0, 3600.0, kept.pause_s, 5.0)
            at_most = right.number_input("Messages an hour, at most", 1, 1000, kept.at_most_per_h)
            saved = st.form_submit_button("Save", icon=":material/save:")
        if saved:
            try:
                kept = NotifyOptions(webhook.strip(), command, place.strip(), float(pause_s), int(at_most))
                st.session_state[STATE] = kept
            except NotifyError as error:
                st.error(str(error), icon=":material/error:")
        if kept.wanted and st.button("Send a trial message", icon=":material/send:"):
            _trial(kept)


def _trial(options: NotifyOptions) -> None:
    event = FallEvent(0, 0.0, 0.5, math.nan, math.nan, 0.3, 1.0, math.nan)
    content = message(event, options.place) | {"kind": "trial", "text": "Trial message from Kinoscope: no fall."}
    try:
        send(content, options)
        st.success("The message was delivered.", icon=":material/check_circle:")
    except NotifyError as error:
        st.error(str(error), icon=":material/error:")
