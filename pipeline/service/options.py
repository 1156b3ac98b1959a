"""How the service is run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceOptions:
    """How the service is run.

    max_upload_mib: a larger clip is refused.
    max_poses_mib: larger posted poses are refused; 64 MiB are about an hour of one person.
    max_waiting: jobs of one caller that may wait.
    max_attempts: a job whose clip has killed the service so often is given up.
    """

    max_upload_mib: int = 2048
    max_poses_mib: int = 64
    max_waiting: int = 1000
    max_attempts: int = 5

    def __post_init__(self) -> None:
        if min(self.max_upload_mib, self.max_poses_mib, self.max_waiting, self.max_attempts) < 1:
            raise ValueError("max_upload_mib, max_poses_mib, max_waiting and max_attempts must be 1 or more.")
