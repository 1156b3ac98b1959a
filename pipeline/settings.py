"""Where things lie. Every folder can be moved by one environment variable."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_data_path

PROJECT_DIR = Path(__file__).resolve().parent.parent


def data_dir() -> Path:
    """The private test data (``KINOSCOPE_DATA``, default ``../shared``); it may not be there."""
    return Path(os.environ.get("KINOSCOPE_DATA") or PROJECT_DIR / "../shared").resolve()


def outputs_dir() -> Path:
    """The run store (``KINOSCOPE_OUTPUTS``, default ``outputs/`` in the project)."""
    return Path(os.environ.get("KINOSCOPE_OUTPUTS") or PROJECT_DIR / "outputs").resolve()


def models_dir() -> Path:
    """Downloaded weights and the user's own models (``KINOSCOPE_MODELS``, default the user's data folder)."""
    chosen = os.environ.get("KINOSCOPE_MODELS")
    return Path(chosen).resolve() if chosen else user_data_path("kinoscope", appauthor=False) / "models"


def cache_dir() -> Path:
    """What can be made again, such as the rendered sample (``KINOSCOPE_CACHE``, default the user's cache folder)."""
    chosen = os.environ.get("KINOSCOPE_CACHE")
    return Path(chosen).resolve() if chosen else user_cache_path("kinoscope", appauthor=False)


def fall_command() -> str:
    """The program to start at a fall (``KINOSCOPE_FALL_COMMAND``, default none).

    Only who starts Kinoscope can set it: a page that others may reach must not start programs of their choice.
    """
    return os.environ.get("KINOSCOPE_FALL_COMMAND", "").strip()


def ice_servers() -> list[dict[str, Any]]:
    """STUN and TURN servers for the webcam (``KINOSCOPE_ICE_SERVERS``, default none: localhost needs no server).

    Addresses such as ``stun:stun.example.org:3478`` separated by commas or, where names and passwords are needed, the
    JSON list that browsers use: ``[{"urls": "turn:...", "username": "...", "credential": "..."}]``.

    Raises:
        ValueError: the variable is neither.
    """
    text = os.environ.get("KINOSCOPE_ICE_SERVERS", "").strip()
    try:
        servers = json.loads(text) if text.startswith("[") else [{"urls": url} for url in text.split(",") if url]
        servers = [{**server, "urls": _addresses(server["urls"])} for server in servers]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            "KINOSCOPE_ICE_SERVERS is not understood; write stun:HOST:PORT or turn:HOST:PORT, separated by commas, or "
            'a JSON list such as [{"urls": "turn:HOST:PORT", "username": "...", "credential": "..."}].'
        ) from error
    return servers


def _addresses(urls: str | list[str]) -> list[str]:
    addresses = [url.strip() for url in ([urls] if isinstance(urls, str) else urls)]
    if not addresses or not all(url.startswith(("stun:", "stuns:", "turn:", "turns:")) for url in addresses):
        raise ValueError(addresses)
    return addresses
