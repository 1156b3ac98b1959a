"""What a gate says: go on or stop, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """The answer of a gate. Refusing is a result, not an exception.

    ok: the chain may go on.
    reasons: plain words, most important first; what to do about it in the same sentence. Empty is fine when ``ok``.
    measurements: the numbers and thresholds behind it, by name with units; JSON-able.
    """

    ok: bool
    reasons: tuple[str, ...] = ()
    measurements: Mapping[str, Any] = field(default_factory=dict)
