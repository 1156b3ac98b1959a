"""The 1€ filter: for values that arrive frame by frame, and the same numbers for a whole clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.poses import Array


@dataclass(frozen=True)
class OneEuroParameters:
    """The 1€ filter's three numbers. Speeds are in body sizes a second, so zoom does not matter.

    min_cutoff_hz: the cutoff at rest; lower is calmer and lags more (1.5 Hz: 0.1 s).
    beta: hertz of cutoff gained per body size a second; at a squat's 0.5 the lag falls to about 0.025 s.
    derivative_cutoff_hz: smoothing of the speed itself; 1 Hz as the authors have it.
    """

    min_cutoff_hz: float = 1.5
    beta: float = 10.0
    derivative_cutoff_hz: float = 1.0

    def __post_init__(self) -> None:
        for name in ("min_cutoff_hz", "derivative_cutoff_hz"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be a positive number of hertz.")
        if not self.beta >= 0:
            raise ValueError(f"beta is {self.beta!r}; it must be zero or more.")


class OneEuro:
    """The 1€ filter for values that arrive one frame at a time; it lags little in motion and hardly jitters at rest.

    Source: Casiez, Roussel, Vogel 2012, 1€ Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
    Systems, CHI 2012. Each element of the values has a filter of its own. A missing value (NaN) comes out as NaN and
    leaves the filter as it was; the next value weighs the more the longer the gap was.

    Args:
        parameters: cutoffs and speed coefficient.
        scale: the body's size in the unit of the values (number, or array like the values); speeds are divided by it.
    """

    def __init__(self, parameters: OneEuroParameters | None = None, scale: float | Array = 1.0) -> None:
        self.parameters = parameters or OneEuroParameters()
        self.scale = scale
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as before the first frame."""
        self._smooth: Array | None = None
        self._speed = np.empty(0)
        self._time_s = np.empty(0)
        self._latest_s = -np.inf

    def update(self, values: Array, time_s: float) -> Array:
        """The filtered values of one frame.

        Args:
            values: any shape, the same in every frame; NaN missing.
            time_s: seconds, later than the frame before; ValueError otherwise.
        """
        if not time_s > self._latest_s:
            raise ValueError(f"the frame at {time_s} s is not after {self._latest_s} s; reset() before a new clip.")
        self._latest_s = time_s
        values = np.asarray(values, dtype=np.float64)
        if self._smooth is None:
            self._smooth, self._speed = np.full(values.shape, np.nan), np.zeros(values.shape)
            self._time_s = np.full(values.shape, np.nan)
        seen, started = np.isfinite(values), np.isfinite(self._smooth)
        elapsed_s = np.where(started, time_s - self._time_s, 1.0)
        change = np.where(started, values - self._smooth, 0.0) / elapsed_s
        speed = self._speed + _smoothing(self.parameters.derivative_cutoff_hz, elapsed_s) * (change - self._speed)
        cutoff_hz = self.parameters.min_cutoff_hz + self.parameters.beta * np.abs(speed) / self.scale
        smooth = self._smooth + _smoothing(cutoff_hz, elapsed_s) * (values - self._smooth)
        self._smooth = np.where(seen, np.where(started, smooth, values), self._smooth)
        self._speed = np.where(seen, speed, self._speed)
        self._time_s = np.where(seen, time_s, self._time_s)
        return np.where(seen, self._smooth, np.nan)


def _smoothing(cutoff_hz: float | Array, elapsed_s: Array) -> Array:
    """The weight of the new value in an exponential smoother with this cutoff."""
    turn = 2 * np.pi * cutoff_hz * elapsed_s
    return np.asarray(turn / (1 + turn))


def one_euro(
    values: Array, time_s: Array, parameters: OneEuroParameters | None = None, scale: float | Array = 1.0
) -> Array:
    """The same numbers as ``OneEuro.update`` frame by frame, for a whole clip of values (T, ...)."""
    live = OneEuro(parameters, scale)
    smooth = np.empty(np.shape(values))
    for frame, (value, moment) in enumerate(zip(np.asarray(values, dtype=np.float64), time_s, strict=True)):
        smooth[frame] = live.update(value, float(moment))
    return smooth
