"""The camera's element: start and stop, the choice of the device, the annotated picture."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st
from streamlit_webrtc import Translations, WebRtcMode, webrtc_streamer

from pipeline import settings
from UserInterface.components.webcam_stream import Camera, LiveSession, be_patient, never_queue

KEY = "webcam-camera"
WORDS: Translations = {
    "start": "Start",
    "stop": "Stop",
    "select_device": "Choose the camera",
    "device_ask_permission": "Please allow the camera: your browser asks beside the address.",
    "device_access_denied": "The camera was refused. Allow it beside the browser's address and press Start again.",
    "device_not_available": "No camera can be used: none is connected, or another program holds it.",
    "media_api_not_available": "Cameras need a secure address: use https, or http://localhost on this machine.",
}


def camera(session: LiveSession, size: tuple[int, int]) -> bool:
    """Show it; whether the camera plays. Raises ValueError when the ICE servers are not understood."""
    never_queue()
    be_patient()
    ice = settings.ice_servers()
    width, height = size
    video = {"width": {"ideal": width}, "height": {"ideal": height}, "frameRate": {"ideal": 30, "max": 30}}
    context: Any = webrtc_streamer(
        KEY,
        mode=WebRtcMode.SENDRECV,
        rtc_configuration={"iceServers": ice},
        media_stream_constraints={"video": video, "audio": False},
        video_processor_factory=partial(Camera, session),
        async_processing=False,  # the worker has threads of its own
        sendback_audio=False,
        desired_playing_state=_restart(size),
        video_html_attrs={"autoPlay": True, "controls": False, "muted": True, "style": {"width": "100%"}},
        translations=WORDS,
    )
    played = st.session_state.get("webcam-playing", False)
    st.session_state["webcam-playing"] = context.state.playing
    _restarted(played, context.state.playing, size)
    return bool(context.state.playing)


def _restart(size: tuple[int, int]) -> bool | None:
    """Another resolution stops the camera and starts it again; otherwise the user does both (None)."""
    running = st.session_state.get("webcam-size-running")
    if st.session_state.get("webcam-playing") and running not in (None, size):
        st.session_state["webcam-restart"] = True
        return False
    return True if st.session_state.get("webcam-restart") else None


def _restarted(played: bool, playing: bool, size: tuple[int, int]) -> None:
    if not playing:
        st.session_state["webcam-size-running"] = None
        if played and st.session_state.get("webcam-restart"):  # it has stopped: only another run can start it again
            st.rerun()
    elif st.session_state.get("webcam-size-running") is None:
        st.session_state["webcam-size-running"] = size
        if st.session_state.pop("webcam-restart", False):
            st.rerun()
