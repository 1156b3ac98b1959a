"""The browser says sentences aloud, each once."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

_SCRIPT = """
export default function ({ data, parentElement }) {
  const place = parentElement.host ?? parentElement;
  const said = place.kinoscopeSaid ?? data.sentences.length;  // what was said before it was switched on stays unsaid
  if (window.speechSynthesis) {
    for (const sentence of data.sentences.slice(Math.min(said, data.sentences.length))) {
      const words = new SpeechSynthesisUtterance(sentence);
      words.lang = "en";
      window.speechSynthesis.speak(words);
    }
  }
  place.kinoscopeSaid = data.sentences.length;
  place.dataset.said = String(data.sentences.length);
}
"""


def speak(sentences: Sequence[str], key: str) -> None:
    """Say those sentences that were not there the last time."""
    st.components.v2.component("kinoscope_speech", js=_SCRIPT)(key=key, data={"sentences": list(sentences)}, height=1)
