"""Why the camera does not work, and what to do: asked of the browser and of this server."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil
import streamlit as st

from pipeline import settings
from pipeline.live.worker import LiveState
from UserInterface.components.webcam_stream import LiveSession

GOOD_FPS = 25.0
BUSY_PERCENT = 90.0

_SCRIPT = """
export default function ({ data, setTriggerValue, parentElement }) {
  const place = parentElement.host ?? parentElement;
  if (place.kinoscopeAsked === data.ask) return;
  place.kinoscopeAsked = data.ask;
  const look = async () => {
    const found = { secure: window.isSecureContext, media: !!navigator.mediaDevices?.getUserMedia,
                    webrtc: !!window.RTCPeerConnection, cameras: [], error: "", permission: "", candidates: [] };
    try { found.permission = (await navigator.permissions.query({ name: "camera" })).state; } catch {}
    if (found.media && data.open) {
      try {
        const stream = await navigator.mediaDevices.getUserMedia({ video: true });
        const settings = stream.getVideoTracks()[0].getSettings();
        found.opened = `${settings.width} x ${settings.height}, ${Math.round(settings.frameRate)} frames a second`;
        stream.getTracks().forEach((track) => track.stop());
      } catch (error) { found.error = error.name; }
    }
    if (found.media) {
      const devices = await navigator.mediaDevices.enumerateDevices();
      found.cameras = devices.filter((d) => d.kind === "videoinput").map((d) => d.label || "a camera");
    }
    if (found.webrtc) {
      const peer = new RTCPeerConnection({ iceServers: data.ice });
      peer.createDataChannel("test");
      peer.onicecandidate = (e) => { if (e.candidate?.type) found.candidates.push(e.candidate.type); };
      await peer.setLocalDescription(await peer.createOffer());
      const end = Date.now() + 4000;
      while (peer.iceGatheringState !== "complete" && Date.now() < end) {
        await new Promise((then) => setTimeout(then, 100));
      }
      peer.close();
    }
    setTriggerValue("found", found);
  };
  look();
}
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was tested. ``good`` None: nothing to say yet."""

    name: str
    good: bool | None
    text: str


def self_test(live: LiveSession) -> None:
    """The button and what it found."""
    with st.expander("Self-test: does the camera not work?", icon=":material/troubleshoot:"):
        st.button("Test now", key="webcam-test", on_click=_ask)
        if "webcam-test-asked" not in st.session_state:
            st.caption("It asks your browser for the camera for a moment, and shows nothing to anybody.")
            return
        state = live.state
        st.components.v2.component("kinoscope_selftest", js=_SCRIPT)(
            key="webcam-tested",
            data={
                "ask": st.session_state["webcam-test-asked"],
                "open": not state.processed,
                "ice": settings.ice_servers(),
            },
            on_found_change=_found,
            height=1,
        )
        answer = st.session_state.get("webcam-test-found")
        if answer is None:
            st.caption("Testing ...")
            return
        for finding in [*browser_findings(answer, bool(settings.ice_servers())), *server_findings(state, _cpu())]:
            icon = {True: ":material/check_circle:", False: ":material/error:", None: ":material/info:"}[finding.good]
            color = {True: "green", False: "red", None: "gray"}[finding.good]
            st.markdown(f":{color}[{icon} **{finding.name}**] {finding.text}")


def browser_findings(found: dict[str, Any], has_ice: bool) -> list[Finding]:
    """What the browser's answer means, in plain words, with the remedy."""
    findings = [
        Finding("Address", True, "secure, cameras are allowed here.")
        if found.get("secure") and found.get("media")
        else Finding(
            "Address", False,
            "not secure, so browsers hide the camera. Open http://localhost on the machine itself, or serve over "
            "https: start with --server.sslCertFile CERT.pem --server.sslKeyFile KEY.pem (README, two lines).",
        )
    ]  # fmt: skip
    if found.get("media"):
        findings.append(_camera_finding(found))
    candidates = set(found.get("candidates", []))
    if not found.get("webrtc"):
        findings.append(
            Finding("Connection", False, "this browser has no WebRTC; use the upload below or another browser.")
        )
    elif not candidates:
        findings.append(
            Finding("Connection", False, "the browser found no network path (no ICE candidate): a policy or an "
                    "extension blocks WebRTC; allow it for this address.")
        )  # fmt: skip
    elif has_ice and not candidates & {"srflx", "relay"}:
        findings.append(
            Finding("Connection", False, "the STUN/TURN servers of KINOSCOPE_ICE_SERVERS did not answer; check their "
                    "address, name and password, or whether UDP is blocked (then use turns: over TCP 443).")
        )  # fmt: skip
    else:
        kinds = {"host": "directly", "srflx": "through STUN", "prflx": "directly", "relay": "through TURN"}
        ways = ", ".join(dict.fromkeys(kinds.get(kind, kind) for kind in sorted(candidates)))
        text = f"possible {ways}."
        if not has_ice:
            text += " Enough on this machine and in its network; from elsewhere set KINOSCOPE_ICE_SERVERS."
        findings.append(Finding("Connection", True, text))
    return findings


def _camera_finding(found: dict[str, Any]) -> Finding:
    error = str(found.get("error") or "")
    reasons = {
        "NotAllowedError": "refused. Allow it at the camera sign beside the address, then press Start again; some "
        "systems also have a switch for all browsers.",
        "NotFoundError": "none is connected. Plug one in, or use the upload below.",
        "NotReadableError": "another program or tab holds it. Close that one and try again.",
        "OverconstrainedError": "it has none of the sizes asked for; choose another resolution.",
    }
    if error:
        return Finding("Camera", False, reasons.get(error, f"the browser says {error}."))
    if found.get("opened"):
        return Finding("Camera", True, f"works: {found['opened']}.")
    if found.get("permission") == "denied":
        return Finding("Camera", False, reasons["NotAllowedError"])
    if not found.get("cameras"):
        return Finding("Camera", False, reasons["NotFoundError"])
    return Finding("Camera", True, f"in use by this page: {', '.join(map(str, found['cameras']))}.")


def server_findings(state: LiveState, cpu_percent: float) -> list[Finding]:
    """How fast it is here."""
    findings = []
    if not state.offered:
        findings.append(Finding("Speed", None, "start the camera to measure the frame rate."))
    else:
        text = f"{state.processed_fps:.0f} of {state.offered_fps:.0f} frames a second are looked at."
        good = state.processed_fps >= min(GOOD_FPS, 0.8 * state.offered_fps)
        if not good:
            text += " Use 640 x 480, the working point Fast, BlazePose and one person, or close other programs."
        findings.append(Finding("Speed", good, text))
    text = f"{cpu_percent:.0f} % of all cores of the server are busy."
    if cpu_percent > BUSY_PERCENT:
        text += " Frames are being dropped for that; close other programs or sessions."
    return [*findings, Finding("Processor", cpu_percent <= BUSY_PERCENT, text)]


def _cpu() -> float:
    return psutil.cpu_percent(0.3)


def _ask() -> None:
    st.session_state["webcam-test-asked"] = time.time()
    st.session_state.pop("webcam-test-found", None)


def _found() -> None:
    st.session_state["webcam-test-found"] = dict(st.session_state["webcam-tested"].found)
