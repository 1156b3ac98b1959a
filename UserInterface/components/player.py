"""Ties a video and a Plotly chart of the same page together, in the browser.

While the video plays, a line runs along the chart; a click on the chart moves the video; when the video pauses or is
moved, Python hears of the moment. Both stay ordinary Streamlit elements, found by the keys of their containers, so
the page works without the tie as well.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

_SCRIPT = """
export default function ({ data, setTriggerValue, parentElement }) {
  const place = parentElement.host ?? parentElement;
  const before = place.kinoscope;
  before?.stop();
  const find = (key, what) => document.querySelector(`.st-key-${CSS.escape(key)} ${what}`);
  const line = document.createElement("div");
  line.dataset.testid = "moment-line";
  line.style.cssText = "position:absolute;width:2px;pointer-events:none;background:#d4502a;z-index:5;display:none";
  let video = null, chart = null, request = 0;
  const moment = () => video.currentTime + data.offset_s;
  const tell = (time_s) => {
    if (Math.abs(time_s - data.moment_s) > data.step_s / 2) setTriggerValue("moment", time_s);
  };
  const stood = () => { if (video.paused) tell(moment()); };
  const clicked = (event) => {
    const time_s = event.points[0].x;
    if (video) video.currentTime = Math.max(0, time_s - data.offset_s + data.step_s / 2);
    if (!video || !video.paused) tell(time_s);
  };
  const drop = () => {
    video?.removeEventListener("pause", stood);
    video?.removeEventListener("seeked", stood);
    chart?.removeListener?.("plotly_click", clicked);
    line.remove();
  };
  const tick = () => {
    request = requestAnimationFrame(tick);
    const video_now = find(data.video, "video"), chart_now = find(data.chart, ".js-plotly-plot");
    if (video_now !== video || chart_now !== chart) {
      drop();
      [video, chart] = [video_now, chart_now];
      video?.addEventListener("pause", stood);
      video?.addEventListener("seeked", stood);
      if (chart?.on) { chart.on("plotly_click", clicked); } else { chart = null; }
      if (chart) { chart.style.position = "relative"; chart.append(line); }
    }
    const layout = chart?._fullLayout;
    if (!video || !layout?.xaxis?.d2p) { line.style.display = "none"; return; }
    if (line.parentElement !== chart) chart.append(line);
    const x = layout.xaxis.d2p(moment());
    const inside = x >= 0 && x <= layout.xaxis._length;
    line.style.display = inside ? "block" : "none";
    line.style.left = `${layout.xaxis._offset + x - 1}px`;
    line.style.top = `${layout.yaxis._offset}px`;
    line.style.height = `${layout.yaxis._length}px`;
  };
  tick();
  const seek = before ? before.seek : 0;
  if (data.seek !== seek && video) video.currentTime = Math.max(0, data.moment_s - data.offset_s + data.step_s / 2);
  place.kinoscope = { seek: data.seek, stop: () => { cancelAnimationFrame(request); drop(); } };
  return () => place.kinoscope?.stop();
}
"""


def tie(
    key: str,
    *,
    video: str,
    chart: str,
    moment_s: float,
    offset_s: float = 0.0,
    step_s: float = 1 / 30,
    seek: int = 0,
    on_moment: Callable[[], None],
) -> None:
    """Tie the video in the container of key ``video`` to the chart (time on its x axis) in that of key ``chart``.

    Args:
        moment_s: what Python takes for the current moment.
        offset_s: the time in the clip at which the video starts.
        step_s: between two frames.
        seek: count it up to move the video to ``moment_s``.
        on_moment: called when the user has moved the video or clicked the chart; the moment in seconds is
            ``st.session_state[key].moment``.
    """
    st.components.v2.component("kinoscope_tie", js=_SCRIPT)(
        key=key,
        data={
            "video": video,
            "chart": chart,
            "moment_s": moment_s,
            "offset_s": offset_s,
            "step_s": step_s,
            "seek": seek,
        },
        on_moment_change=on_moment,
        height=1,
    )
