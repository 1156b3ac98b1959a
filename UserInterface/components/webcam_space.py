"""The skeleton in space, drawn by the browser: light enough to follow a live stream."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pipeline.live.panels import LivePose
from pipeline.skeletons import is_left, is_right

_SCRIPT = """
export default function ({ data, parentElement }) {
  const place = parentElement.host ?? parentElement;
  const root = parentElement;
  let canvas = root.querySelector("canvas");
  if (!canvas) {
    canvas = document.createElement("canvas");
    canvas.style.cssText = "width:100%;height:320px;touch-action:none;cursor:grab";
    canvas.setAttribute("aria-label", "skeleton in space; drag to turn it");
    root.append(canvas);
    place.kinoscopeTurn = { yaw: 0.4, pitch: 0.15 };
    canvas.addEventListener("pointerdown", (down) => canvas.setPointerCapture(down.pointerId));
    canvas.addEventListener("pointermove", (move) => {
      if (!move.buttons) return;
      place.kinoscopeTurn.yaw += move.movementX * 0.01;
      place.kinoscopeTurn.pitch = Math.max(-1.5, Math.min(1.5, place.kinoscopeTurn.pitch + move.movementY * 0.01));
      place.kinoscopeDraw();
    });
  }
  const colors = { left: "#0072b2", right: "#d55e00", trunk: "#7f8c8d" };
  place.kinoscopeDraw = () => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const pen = canvas.getContext("2d"), { yaw, pitch } = place.kinoscopeTurn;
    const scale = canvas.height / 2.2, x0 = canvas.width / 2, y0 = canvas.height / 2;
    const put = (p) => {
      if (p === null) return null;
      const x = p[0] * Math.cos(yaw) + p[2] * Math.sin(yaw), z = p[2] * Math.cos(yaw) - p[0] * Math.sin(yaw);
      return [x0 + x * scale, y0 - (p[1] * Math.cos(pitch) - z * Math.sin(pitch)) * scale];
    };
    const points = data.points.map(put);
    pen.lineWidth = 4 * ratio;
    pen.lineCap = "round";
    for (const [a, b, side] of data.bones) {
      if (!points[a] || !points[b]) continue;
      pen.strokeStyle = colors[side];
      pen.beginPath();
      pen.moveTo(...points[a]);
      pen.lineTo(...points[b]);
      pen.stroke();
    }
  };
  place.kinoscopeDraw();
}
"""


def show_skeleton(pose: LivePose, key: str) -> None:
    """The person's ``xyz_m`` now; left limbs blue, right ones orange; drag to turn it."""
    assert pose.xyz_m is not None
    names = pose.skeleton.joints
    bones = []
    for a, b in pose.skeleton.bone_indices:
        side = "left" if is_left(names[a]) and is_left(names[b]) else "trunk"
        bones.append([a, b, "right" if is_right(names[a]) and is_right(names[b]) else side])
    points = [None if not np.isfinite(row).all() else [round(float(v), 3) for v in row] for row in pose.xyz_m]
    st.components.v2.component("kinoscope_space", js=_SCRIPT)(
        key=key, data={"points": points, "bones": bones}, height=330
    )
    st.caption("Left blue, right orange; drag to turn it.")
