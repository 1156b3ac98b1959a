"""The browser's own connection: how late its pictures are, how smooth, and patience where it pauses.

The browser knows how long it encodes, waits for the network and decodes (W3C Identifiers for WebRTC's Statistics API);
the server adds its own part. The connection belongs to streamlit-webrtc's frame, which does not hand it out: its
constructor is listened to before the camera starts.

"disconnected" is a pause of some seconds, on a busy machine or network, that ends by itself (W3C WebRTC,
RTCIceTransportState). streamlit-webrtc would stop the camera, so it is not told; if the pause does not end, "failed"
follows, and it is told of that.
"""

from __future__ import annotations

import math

import streamlit as st

from UserInterface.components.webcam_stream import LiveSession

_SCRIPT = """
const FRAME = 'iframe[title="streamlit_webrtc.component.webrtc_streamer"]';

const listen = () => {
  const inside = document.querySelector(FRAME)?.contentWindow;
  if (!inside?.RTCPeerConnection) return null;
  if (!inside.kinoscopeListens) {
    inside.kinoscopeListens = true;
    const Original = inside.RTCPeerConnection;
    inside.RTCPeerConnection = class extends Original {
      constructor(...given) {
        super(...given);
        inside.kinoscopePeer = this;
        this.addEventListener("connectionstatechange", (event) => {
          if (this.connectionState === "disconnected") event.stopImmediatePropagation();
        });
      }
    };
  }
  return inside.kinoscopePeer ?? null;
};

const asked = async (peer) => {
  const found = {};
  (await peer.getStats()).forEach((s) => {
    if (s.type === "media-source" && s.kind === "video") found.camera = s.framesPerSecond;
    if (s.type === "outbound-rtp" && s.kind === "video") found.encode = [s.totalEncodeTime, s.framesEncoded];
    if (s.type === "inbound-rtp" && s.kind === "video") {
      found.shown = s.framesPerSecond;
      found.decode = [s.totalDecodeTime, s.framesDecoded];
      found.wait = [s.jitterBufferDelay, s.jitterBufferEmittedCount];
    }
    if (s.type === "candidate-pair" && s.nominated) found.network = s.currentRoundTripTime;
  });
  return found;
};

const mean_ms = (now, before) => {  // of what happened between two looks
  const [spent, count] = [now?.[0] - (before?.[0] ?? 0), now?.[1] - (before?.[1] ?? 0)];
  return count > 0 ? (1000 * spent) / count : NaN;
};

export default function ({ data, parentElement }) {
  const place = parentElement.host ?? parentElement;
  place.kinoscopeServer = data.server_ms;
  if (place.kinoscopeTimer) return;
  const text = document.createElement("div");
  text.style.cssText = "font-size:0.875rem;opacity:0.7;font-family:inherit;color:inherit";
  parentElement.append(text);
  let before = {};
  const look = async () => {
    const peer = listen();
    if (!peer || peer.connectionState !== "connected") {
      text.textContent = "";
      before = {};
      return;
    }
    const now = await asked(peer);
    const encode = mean_ms(now.encode, before.encode);
    const show = mean_ms(now.decode, before.decode) + mean_ms(now.wait, before.wait);
    const network = 1000 * (now.network ?? NaN);
    before = now;
    const server = place.kinoscopeServer;
    if (now.shown === undefined || server === null || !isFinite(encode + show + network)) return;
    const browser = encode + show;
    text.textContent =
      `About ${Math.round(browser + network + server)} ms from the camera to the screen ` +
      `(browser ${Math.round(browser)}, network ${Math.round(network)}, server ${Math.round(server)}) · ` +
      `camera ${Math.round(now.camera ?? 0)}, shown ${Math.round(now.shown)} frames a second`;
  };
  place.kinoscopeTimer = setInterval(() => look().catch(() => { text.textContent = ""; }), 500);
  return () => {
    clearInterval(place.kinoscopeTimer);
    place.kinoscopeTimer = null;
    text.remove();
  };
}
"""
REFRESH_S = 2.0


@st.fragment(run_every=REFRESH_S)
def connection_line(session: LiveSession) -> None:
    """The line under the picture; empty while the camera is off. It must be on the page before the camera starts."""
    server_ms = session.server_ms
    st.components.v2.component("kinoscope_latency", js=_SCRIPT)(
        key="webcam-latency", data={"server_ms": round(server_ms) if math.isfinite(server_ms) else None}, height=44
    )
