"""Lets a Plotly film play and stop with the video of the same page, in the browser."""

from __future__ import annotations

import streamlit as st

_SCRIPT = """
export default function ({ data, parentElement }) {
  const place = parentElement.host ?? parentElement;
  place.kinoscopeAlong?.();
  let video = null;
  const press = (number) => {
    const film = document.querySelector(`.st-key-${CSS.escape(data.film)} .js-plotly-plot`);
    const button = film?.querySelectorAll(".updatemenu-button")[number];
    button?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  };
  const play = () => press(0), stop = () => press(1);
  const drop = () => {
    video?.removeEventListener("play", play);
    video?.removeEventListener("pause", stop);
  };
  const look = () => {
    const now = document.querySelector(`.st-key-${CSS.escape(data.video)} video`);
    if (now === video) return;
    drop();
    video = now;
    video?.addEventListener("play", play);
    video?.addEventListener("pause", stop);
  };
  look();
  const timer = setInterval(look, 500);
  place.kinoscopeAlong = () => { clearInterval(timer); drop(); };
  return () => place.kinoscopeAlong?.();
}
"""


def play_along(key: str, *, video: str, film: str) -> None:
    """The film in the container of key ``film`` plays and pauses with the video in that of key ``video``.

    Where the video stands when it pauses, the film is shown by Python, so a slow browser cannot drift away for long.
    """
    st.components.v2.component("kinoscope_along", js=_SCRIPT)(key=key, data={"video": video, "film": film}, height=1)
