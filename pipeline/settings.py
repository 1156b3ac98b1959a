"""Where things lie. Every folder can be moved by one environment variable."""

from __future__ import annotations

import os
from pathlib import Path

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
