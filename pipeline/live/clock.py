"""A stream's own timestamps as seconds that only ever increase."""

from __future__ import annotations

LEAP_S = 1.0  # a stream that jumps this far beside the wall clock has begun anew


class StreamClock:
    """Seconds since the first frame, from the stream's timestamps.

    The camera's timestamps are what a movement happened at; when a frame arrives says how busy the network is. A
    stream that begins again (another camera, a lost connection) goes on where the wall clock says.
    """

    def __init__(self) -> None:
        self._offset_s: float | None = None
        self._time_s = 0.0
        self._now_s = 0.0

    def time_s(self, stream_s: float, now_s: float) -> float | None:
        """The frame's time; None for a frame that is not later than the one before.

        Args:
            stream_s: the frame's own timestamp in seconds, from any origin.
            now_s: a monotonic wall clock in seconds.
        """
        if self._offset_s is None:
            self._offset_s, self._time_s, self._now_s = stream_s, 0.0, now_s
            return 0.0
        time_s = stream_s - self._offset_s
        expected_s = self._time_s + now_s - self._now_s
        if abs(time_s - expected_s) > LEAP_S:
            time_s = max(expected_s, self._time_s + 1e-3)
            self._offset_s = stream_s - time_s
        if time_s <= self._time_s:
            return None
        self._time_s, self._now_s = time_s, now_s
        return time_s
