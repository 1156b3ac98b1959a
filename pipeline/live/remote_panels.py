"""The live analyses in a process of their own; see ``remote``."""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.live.panels import LivePose, PanelSet, PanelSettings, Reading, make_panels
from pipeline.live.remote import Child
from pipeline.skeletons import SKELETONS

Readings = tuple[tuple[str, Reading], ...]


class RemotePanels(PanelSet):
    """All live analyses, made with the first pose; see ``PanelSet``. Raises RemoteError in words."""

    def __init__(self, settings: PanelSettings) -> None:
        super().__init__()
        self._settings = settings
        self._child: Child | None = None
        self._readings: Readings = ()

    @property
    def readings(self) -> Readings:
        return self._readings

    def update(self, pose: LivePose) -> None:
        if self._child is None:
            self._child = Child(partial(_Hosted, self._settings))
        row = (pose.image_size, pose.time_s, pose.xy_px, pose.score, pose.xyz_m, pose.person, pose.late_s)
        self._readings, self.error = self._child.call("update", pose.skeleton.name, row)

    def finish(self) -> None:
        if self._child is not None:
            self._readings, self.error = self._child.call("finish")

    def reset(self) -> None:
        self.error = ""
        if self._child is not None:
            self._readings = self._child.call("reset")

    def close(self) -> None:
        if self._child is not None:
            self._child.close()


class _Hosted:
    """The other side."""

    def __init__(self, settings: PanelSettings) -> None:
        self._panels = PanelSet(make_panels(settings))

    def update(self, skeleton: str, row: tuple[Any, ...]) -> tuple[Readings, str]:
        self._panels.update(LivePose(SKELETONS[skeleton], *row))
        return self._panels.readings, self._panels.error

    def finish(self) -> tuple[Readings, str]:
        self._panels.finish()
        return self._panels.readings, self._panels.error

    def reset(self) -> Readings:
        self._panels.reset()
        return self._panels.readings
