"""How fast and how late the webcam page's stream is: benchmarks/live.md.

    python -m benchmarks.live [--seconds 30] [--sessions 1 2] [--write]
    python -m benchmarks.live --seconds 600 --sessions 1 --memory     (benchmarks/live_memory.md)

A WebRTC client in a process of its own sends a rendered clip, encoded before (a browser would spend the same cores on
encoding), 640 x 480 at 30 frames a second; the server side is the page's own: aiortc, its newest-only relay, the
page's ``Camera``, a model and the analyses in processes of their own. Every frame carries its number as black and
white squares; the client reads it back from the stream that returns: latency is from sending to having decoded it.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import psutil
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from streamlit_webrtc.process import VideoProcessTrack

from benchmarks.people import table
from pipeline.live.models import remote_estimator
from pipeline.live.panels import PanelSettings
from pipeline.runs import RunStore
from pipeline.synthetic.actor import ActorSpec, clip_frames
from pipeline.synthetic.timeline import Tempo
from UserInterface.components.webcam_stream import Camera, LiveSession

HERE = Path(__file__).parent
SIZE, FPS, BITS, SQUARE = (640, 480), 30, 15, 24
MEMORY_EVERY_S = 30.0
GOAL_FPS = 25
ANALYSES = "pose and analyses"
# The clip goes on for so long after the last look: when its client ends, the pages of libraries that it shares with the
# server become the server's alone, and count as its memory.
AFTER_S = 3.0
WARM_S = 8.0  # models are loaded, encoders have found their rate
NO_SERVERS = RTCConfiguration(iceServers=[])


def numbered(image: np.ndarray, number: int) -> np.ndarray:
    """The picture with ``number`` in squares along its lower edge, lowest bit first, after a white and a black one."""
    coded = image.copy()
    for place, white in enumerate([1, 0, *(number >> bit & 1 for bit in range(BITS))]):
        left = place * SQUARE
        coded[-SQUARE:, left : left + SQUARE] = 235 if white else 20
    return coded


def number_in(image: np.ndarray) -> int | None:
    """The number; None when the squares cannot be read."""
    scale = image.shape[0] / SIZE[1]
    row = round(image.shape[0] - SQUARE * scale / 2)
    values = [float(image[row, round((place + 0.5) * SQUARE * scale)].mean()) for place in range(BITS + 2)]
    if values[0] < 170 or values[1] > 85:
        return None
    return sum((value > 128) << bit for bit, value in enumerate(values[2:]))


def encode_clip(path: Path, seconds: float) -> None:
    """Squats without a pause in VP8, a key frame a second."""
    repetitions = 4
    spec = ActorSpec.one("squat", repetitions=repetitions, tempo=Tempo(1.0, 0.2, 1.0, 0.3), view="oblique", seed=7)
    pictures = [picture for picture, _ in clip_frames(spec)]
    with av.open(str(path), "w") as container:
        options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        stream: Any = container.add_stream("libvpx", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 1_500_000
        stream.codec_context.gop_size = FPS
        for number in range(round(seconds * FPS)):
            picture = numbered(pictures[number % len(pictures)], number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


class Sender(MediaStreamTrack):
    """The clip's packets in real time; remembers when each frame was sent."""

    kind = "video"

    def __init__(self, clip: Path) -> None:
        super().__init__()
        with av.open(str(clip)) as container:
            self._packets = [bytes(p) for p in container.demux(video=0) if p.size]
        self.sent_s: dict[int, float] = {}
        self._started_s: float | None = None

    async def recv(self) -> av.Packet:
        number = len(self.sent_s)
        if number >= len(self._packets):
            raise MediaStreamError
        now_s = time.perf_counter()
        self._started_s = self._started_s or now_s
        await asyncio.sleep(max(0.0, self._started_s + number / FPS - now_s))
        packet = av.Packet(self._packets[number])
        packet.pts, packet.time_base = number * 90_000 // FPS, Fraction(1, 90_000)
        self.sent_s[number] = time.perf_counter()
        return packet


async def client(clip: Path) -> None:
    """One camera: offers on standard output, reads the answer from standard input, prints what it measured."""
    peer, sender = RTCPeerConnection(NO_SERVERS), Sender(clip)
    back: list[tuple[int, float]] = []
    ended = asyncio.Event()

    @peer.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        async def read() -> None:
            try:
                while True:
                    frame: Any = await track.recv()
                    number = number_in(frame.to_ndarray(format="rgb24"))
                    if number is not None:
                        back.append((number, time.perf_counter()))
            except MediaStreamError:
                ended.set()

        asyncio.ensure_future(read())  # noqa: RUF006 -- ends with the track

    peer.addTrack(sender)
    await peer.setLocalDescription(await peer.createOffer())
    print(json.dumps({"sdp": peer.localDescription.sdp, "type": "offer"}), flush=True)
    answer = json.loads(await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline))
    await peer.setRemoteDescription(RTCSessionDescription(**answer))
    while len(sender.sent_s) < len(sender._packets):
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.0)
    first = round(WARM_S * FPS)
    seen: dict[int, float] = {}
    for number, at_s in back:
        seen.setdefault(number, at_s)
    latencies = [1e3 * (at_s - sender.sent_s[n]) for n, at_s in seen.items() if n >= first and n in sender.sent_s]
    length_s = (len(sender._packets) - first) / FPS
    print(json.dumps({"returned_fps": len(latencies) / length_s, "latencies_ms": latencies}), flush=True)
    await peer.close()


class Sessions:
    """The server: sessions in one process, as Streamlit serves them."""

    def __init__(self, folder: Path) -> None:
        self.store = RunStore(folder)
        self.relay = MediaRelay()
        self.peers: list[RTCPeerConnection] = []
        self.live: list[LiveSession] = []

    async def answer(self, offer: dict[str, str]) -> dict[str, str]:
        peer, session = RTCPeerConnection(NO_SERVERS), LiveSession(self.store, remote_estimator, PanelSettings("squat"))
        session.mirror = False
        self.peers.append(peer)
        self.live.append(session)

        @peer.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            processed = VideoProcessTrack(self.relay.subscribe(track, buffered=False), Camera(session))
            peer.addTrack(self.relay.subscribe(processed, buffered=False))

        await peer.setRemoteDescription(RTCSessionDescription(**offer))
        await peer.setLocalDescription(await peer.createAnswer())
        return {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type}


def cpu_seconds() -> dict[str, float]:
    """Processor seconds so far of what the server does."""
    me = psutil.Process()
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    used = dict.fromkeys(("decode", "draw, network", "encode", "rest of the server"), 0.0)
    for thread in me.threads():
        name = names.get(thread.id, "")
        part = "rest of the server"
        if "decoder" in name:
            part = "decode"
        elif name.startswith("asyncio"):
            part = "encode"
        elif name == "MainThread":
            part = "draw, network"
        used[part] += thread.user_time + thread.system_time
    used[ANALYSES] = 0.0
    for child in me.children(recursive=True):
        if "pipeline.live.remote" in " ".join(child.cmdline()):
            times = child.cpu_times()
            used[ANALYSES] += times.user + times.system
    return used


class MallocInfo(ctypes.Structure):
    """What glibc says of its heap: mallinfo2(3)."""

    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def heap_in_use_mb() -> float:
    """Megabytes of the C heap that are in use; the rest of what malloc holds is free, for later use."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = MallocInfo
    info = libc.mallinfo2()
    return (info.uordblks + info.hblkhd) / 1e6


def memory_mb() -> dict[str, float]:
    """Megabytes that this process and those of the model and the analyses hold by themselves (USS).

    Of the server also what of its C heap is in use, and how many thousand small Python objects there are: what grows
    in neither of them is memory that malloc keeps for later, not something the page holds.
    """
    me = psutil.Process()
    held = {
        "server, MB": me.memory_full_info().uss / 1e6,
        "its C heap in use, MB": heap_in_use_mb(),
        "its Python objects, thousand": sys.getallocatedblocks() / 1e3,
    }
    children = [c for c in me.children(recursive=True) if "pipeline.live.remote" in " ".join(c.cmdline())]
    return held | {f"process {k}, MB": c.memory_full_info().uss / 1e6 for k, c in enumerate(children, start=1)}


async def watched(seconds: float) -> list[dict[str, float]]:
    """Wait, looking at the memory now and then."""
    end_s, rows = time.monotonic() + seconds, [{"seconds": 0.0} | memory_mb()]
    while (left_s := end_s - time.monotonic()) > 0:
        await asyncio.sleep(min(MEMORY_EVERY_S, left_s))
        rows.append({"seconds": seconds - max(0.0, end_s - time.monotonic())} | memory_mb())
    return rows


async def serve(clip: Path, seconds: float, count: int) -> list[dict[str, Any]]:
    """Rows of the report, one a session; the processor's share stands in the first."""
    with tempfile.TemporaryDirectory() as folder:
        server = Sessions(Path(folder))
        clients = [
            subprocess.Popen([sys.executable, "-m", "benchmarks.live", "--client", str(clip)],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]  # fmt: skip
        loop = asyncio.get_running_loop()
        for one in clients:
            assert one.stdin is not None and one.stdout is not None
            offer = json.loads(await loop.run_in_executor(None, one.stdout.readline))
            one.stdin.write(json.dumps(await server.answer(offer)) + "\n")
            one.stdin.flush()
        await asyncio.sleep(WARM_S)
        before, states = cpu_seconds(), [session.state for session in server.live]
        memory = await watched(seconds - WARM_S - 1)
        after, later = cpu_seconds(), [session.state for session in server.live]
        lines = await asyncio.gather(*(loop.run_in_executor(None, one.stdout.readline) for one in clients))  # type: ignore[union-attr]
        rows = []
        measured_s = seconds - WARM_S - 1
        for session, first, last, line in zip(server.live, states, later, lines, strict=True):
            answer = json.loads(line)
            latencies = sorted(answer["latencies_ms"])
            counts = {label: value for _, reading in last.readings for label, value in reading.metrics}
            rows.append(
                {
                    "offered_fps": (last.offered - first.offered) / measured_s,
                    "processed_fps": (last.processed - first.processed) / measured_s,
                    "returned_fps": answer["returned_fps"],
                    "p50_ms": statistics.median(latencies) if latencies else float("nan"),
                    "p95_ms": latencies[int(0.95 * len(latencies))] if latencies else float("nan"),
                    "pose_ms": last.pose_ms,
                    "count": counts.get("Repetitions", ""),
                    "cpu": {name: 100 * (after[name] - before[name]) / measured_s for name in after},
                    "error": last.error,
                    "memory": memory,
                }
            )
            session.disconnect(session._camera)
        for peer in server.peers:
            await peer.close()
        for one in clients:
            one.wait(20)
        return rows


def report(results: dict[int, list[dict[str, Any]]], seconds: float) -> str:
    """The page in Markdown."""
    rows = [
        {
            "session": f"{number} of {count}",
            "offered, frames/s": f"{row['offered_fps']:.1f}",
            "looked at": f"{row['processed_fps']:.1f}",
            "returned": f"{row['returned_fps']:.1f}",
            "latency p50, ms": f"{row['p50_ms']:.0f}",
            "p95, ms": f"{row['p95_ms']:.0f}",
            "pose, ms": f"{row['pose_ms']:.0f}",
            "count": row["count"],
            "error": row["error"] or "none",
        }
        for count, sessions in results.items()
        for number, row in enumerate(sessions, start=1)
    ]
    shares = [
        {"sessions": count, **{name: f"{value:.0f} %" for name, value in sessions[0]["cpu"].items()}}
        for count, sessions in results.items()
    ]
    return f"""# The live stream

Made by `python -m benchmarks.live --write`: {seconds:.0f} s, the first {WARM_S:.0f} s not counted, {psutil.cpu_count()}
cores, load average at the end {psutil.getloadavg()[0]:.1f} (clients included). BlazePose, one person, 640x480, all
analyses on. The goal is {GOAL_FPS} of {FPS} frames a second looked at with one session.

{table(rows)}

Processor time of the server, in percent of one core:

{table(shares)}

{what_limits(results)}
"""


def what_limits(results: dict[int, list[dict[str, Any]]]) -> str:
    """One sentence: with how many sessions the goal is missed, and where the processor's time went."""
    slowest = {count: min(row["processed_fps"] for row in sessions) for count, sessions in results.items()}
    spent = {count: sessions[0]["cpu"] for count, sessions in results.items()}
    missed = [count for count, fps in slowest.items() if fps < GOAL_FPS]
    if not missed:
        return f"The goal is reached with {max(results)} session{'s' if max(results) > 1 else ''}, the most tried."
    count = missed[0]
    return (
        f"With {count} session{'s' if count > 1 else ''} the slowest is looked at {slowest[count]:.1f} times a second: "
        f"what limits are the cores. Pose and analyses of one session take about one core "
        f"({' and '.join(f'{cpu[ANALYSES]:.0f} % with {n}' for n, cpu in spent.items())}), decoding, drawing and "
        f"encoding the rest of the server's {sum(spent[count].values()):.0f} %, and the clients share the "
        f"{psutil.cpu_count()} cores; frames that come meanwhile are left out, so that the picture stays the newest."
    )


def memory_report(rows: list[dict[str, float]], processed_fps: float) -> str:
    """The memory's page in Markdown, with the slope of the second half."""
    half = [row for row in rows if row["seconds"] >= rows[-1]["seconds"] / 2]
    names = [name for name in rows[0] if name != "seconds"]
    slopes = {
        name: np.polyfit([row["seconds"] / 60 for row in half], [row[name] for row in half], 1)[0] for name in names
    }
    text = ", ".join(f"{name} {slope:+.2f}" for name, slope in slopes.items())
    shown = [{"minute": f"{row['seconds'] / 60:.1f}", **{n: f"{row[n]:.0f}" for n in names}} for row in rows[::2]]
    return f"""# Memory of a live session

Made by `python -m benchmarks.live --seconds {rows[-1]["seconds"] + WARM_S + 1:.0f} --sessions 1 --memory` in real
time, {processed_fps:.1f} frames a second looked at, all analyses on, nothing recorded. The processes are the pose
model's and the analyses'. What malloc keeps free for later counts as held, not as in use.

Growth a minute over the last half: {text}.

{table(shown)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true", help="write benchmarks/live.md")
    parser.add_argument("--memory", action="store_true", help="write benchmarks/live_memory.md")
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        asyncio.run(client(arguments.client))
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.webm"
        encode_clip(clip, arguments.seconds + AFTER_S)
        results = {n: asyncio.run(serve(clip, arguments.seconds, n)) for n in arguments.sessions}
    text = report(results, arguments.seconds)
    print(text)
    if arguments.memory:
        first = results[arguments.sessions[0]][0]
        memory_text = memory_report(first["memory"], first["processed_fps"])
        print(memory_text)
        (HERE / "live_memory.md").write_text(memory_text, encoding="utf-8")
    if arguments.write:
        (HERE / "live.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
