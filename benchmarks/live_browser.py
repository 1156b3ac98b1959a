"""The webcam page in a real browser, which encodes and draws on the same cores: benchmarks/live_browser.md.

    python -m benchmarks.live_browser [--seconds 20] [--sessions 1 2] [--write]

Chromium's test camera plays a rendered clip, 640 x 480 at 30 frames a second, whose frames carry their number as black
and white squares; it is read in the camera's own picture and in the picture that returns: latency is between the two.
What the page itself says of its latency stands beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import psutil
from playwright.sync_api import Browser, Frame, Page, sync_playwright

from benchmarks.live import BITS, FPS, GOAL_FPS, SIZE, SQUARE, numbered
from benchmarks.people import table
from pipeline.settings import PROJECT_DIR
from pipeline.synthetic.actor import ActorSpec, clip_frames
from pipeline.synthetic.timeline import Tempo

HERE = Path(__file__).parent
LOADING_S, WARM_S = 120.0, 8.0
LINE = "from the camera to the screen"
_WATCH = """([bits, square, width, height]) => {
  window.seen = { camera: [], shown: [] };
  const read = (video, into, mirrored) => {
    const canvas = document.createElement("canvas");
    canvas.width = width; canvas.height = 1;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const step = () => {
      const scale = video.videoHeight / height;
      pen.drawImage(video, 0, video.videoHeight - square * scale / 2, video.videoWidth, 1, 0, 0, width, 1);
      const row = pen.getImageData(0, 0, width, 1).data;
      const white = (place) => {
        const x = Math.round((place + 0.5) * square);
        return row[4 * (mirrored ? width - 1 - x : x)];
      };
      if (white(0) > 170 && white(1) < 85) {
        let number = 0;
        for (let bit = 0; bit < bits; bit++) number += white(bit + 2) > 128 ? 2 ** bit : 0;
        into.push([number, performance.now()]);
      }
      video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
  };
  const camera = document.createElement("video");
  const track = window.kinoscopePeer.getSenders().find((s) => s.track?.kind === "video").track;
  camera.muted = true;
  camera.srcObject = new MediaStream([track]);
  camera.play();
  document.body.append(camera);
  camera.style.cssText = "position:fixed;width:2px;height:2px;opacity:0.01";
  read(camera, window.seen.camera, false);
  read([...document.querySelectorAll("video")].find((v) => v !== camera), window.seen.shown, true);
}"""


_SENT = """async () => {
  let size = "?";
  (await window.kinoscopePeer.getStats()).forEach((s) => {
    if (s.type === "outbound-rtp") size = `${s.frameWidth} x ${s.frameHeight} (${s.qualityLimitationReason})`;
  });
  return size;
}"""


def camera_clip(path: Path, seconds: float) -> None:
    """Squats as the motion JPEG that Chromium's test camera plays, at 30 frames a second."""
    spec = ActorSpec.one("squat", repetitions=4, tempo=Tempo(1.0, 0.2, 1.0, 0.3), view="oblique", seed=7)
    pictures = [picture for picture, _ in clip_frames(spec)]
    with path.open("wb") as file:
        for number in range(round(seconds * FPS)):
            picture = cv2.cvtColor(numbered(pictures[number % len(pictures)], number), cv2.COLOR_RGB2BGR)
            file.write(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    """The dashboard's address while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(PROJECT_DIR / "UserInterface" / "Home.py")]
    process = subprocess.Popen(
        [*command, "--server.port", str(port), "--server.headless", "true"], cwd=folder,
        env=os.environ | {"KINOSCOPE_OUTPUTS": str(folder / "outputs")},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://localhost:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health"):
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def started(browser: Browser, url: str) -> Page:
    """The webcam page with the camera running and somebody in view."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{url}/Webcam_Record")
    page.wait_for_selector("h1")
    camera = page.frame_locator("iframe[title='streamlit_webrtc.component.webrtc_streamer']")
    time.sleep(1.5)
    camera.get_by_role("button", name="Start").click()
    page.get_by_text("frames a second looked at").wait_for(timeout=1e3 * LOADING_S)
    page.get_by_text(LINE).wait_for(timeout=1e3 * LOADING_S)
    return page


def camera_frame(page: Page) -> Frame:
    """The frame that holds the connection."""
    return next(f for f in page.frames if f.evaluate("() => Boolean(window.kinoscopePeer)"))


def measured(page: Page, seconds: float) -> dict[str, Any]:
    """A row of the table."""
    seen: dict[str, list[list[float]]] = camera_frame(page).evaluate("() => window.seen")
    arrivals: dict[int, list[float]] = {}
    for number, at_ms in seen["camera"]:
        arrivals.setdefault(int(number), []).append(at_ms)
    shown: dict[tuple[int, float], float] = {}
    for number, at_ms in seen["shown"]:
        before = [t for t in arrivals.get(int(number), []) if 0 <= at_ms - t < 5000]
        if before:
            shown.setdefault((int(number), max(before)), at_ms - max(before))
    late = sorted(shown.values())
    looked = page.get_by_text("frames a second looked at").first.inner_text()
    return {
        "camera, frames/s": f"{len(seen['camera']) / seconds:.1f}",
        "shown": f"{len(seen['shown']) / seconds:.1f}",
        "sent as": camera_frame(page).evaluate(_SENT),
        "latency p50, ms": f"{statistics.median(late):.0f}" if late else "none read",
        "p95, ms": f"{late[int(0.95 * len(late))]:.0f}" if late else "",
        "the page says": page.get_by_text(LINE).inner_text().split(" (")[0],
        "looked at": looked.split(" ·")[0],
    }


def sessions(clip: Path, count: int, seconds: float) -> list[dict[str, Any]]:
    """``count`` browsers at the same time."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is not installed (apt-get install chromium).")
    arguments = ["--no-sandbox", "--mute-audio", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                 f"--use-file-for-fake-video-capture={clip}"]  # fmt: skip
    with tempfile.TemporaryDirectory() as name, dashboard(Path(name)) as url, sync_playwright() as playwright:
        browsers = [playwright.chromium.launch(executable_path=chromium, args=arguments) for _ in range(count)]
        pages = [started(browser, url) for browser in browsers]
        pages[0].wait_for_timeout(1e3 * WARM_S)
        for page in pages:
            camera_frame(page).evaluate(_WATCH, [BITS, SQUARE, *SIZE])
        pages[0].wait_for_timeout(1e3 * seconds)
        rows = [{"session": f"{k} of {count}"} | measured(page, seconds) for k, page in enumerate(pages, start=1)]
        for browser in browsers:
            browser.close()
    return rows


def what_limits(rows: list[dict[str, Any]]) -> str:
    """One sentence for the table's foot."""
    shown = min(float(row["shown"]) for row in rows)
    if shown >= GOAL_FPS:
        return f"Every session shows {GOAL_FPS} frames a second or more."
    return (
        f"The slowest session shows {shown:.1f} frames a second: what limits are the cores. Pose and analyses take "
        "about one core a session (`benchmarks/live.md`), and each browser's own encoding, decoding and drawing, all "
        f"without a graphics card, must share the {psutil.cpu_count()} cores with them."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The webcam page in a real browser.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true", help="write benchmarks/live_browser.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "camera.mjpeg"
        camera_clip(clip, 20.0)
        rows = [row for count in arguments.sessions for row in sessions(clip, count, arguments.seconds)]
    text = f"""# The live stream in a browser

Made by `python -m benchmarks.live_browser --write`: {arguments.seconds:.0f} s after {WARM_S:.0f} s of warming up,
{psutil.cpu_count()} cores without a graphics card for browser and server together, load average at the end
{psutil.getloadavg()[0]:.1f}. BlazePose, one person, 640x480, all analyses on. With the browser on a machine of its own,
`benchmarks/live.md` says what the server manages. Where the browser sends a smaller picture (Chromium does when the
answers of a busy machine look like a slow network), the number in it cannot be read and there is no latency.

{table(rows)}

{what_limits(rows)}
"""
    print(text)
    if arguments.write:
        (HERE / "live_browser.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
