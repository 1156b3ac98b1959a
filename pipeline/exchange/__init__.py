"""Poses to and from other programs: OpenSim, motion-capture laboratories, other pose estimators, spreadsheets.

``export_poses`` writes, ``import_poses`` reads, ``import_run`` reads into a run.
"""

from pipeline.exchange.base import ExchangeError, ExportOptions, ImportOptions
from pipeline.exchange.exporting import EXPORT_FORMATS, Exported, export_poses
from pipeline.exchange.importing import IMPORT_FORMATS, Imported, import_poses, import_run

__all__ = [
    "EXPORT_FORMATS",
    "IMPORT_FORMATS",
    "ExchangeError",
    "ExportOptions",
    "Exported",
    "ImportOptions",
    "Imported",
    "export_poses",
    "import_poses",
    "import_run",
]
