"""Repetitions of any periodic movement, without being told which, in seconds.

``find_repetitions`` reads a clip, ``LiveRepetitions`` a stream; both are the same functions. Works from the key points
in the picture alone, so any skeleton with shoulders, elbows, wrists, hips, knees or ankles will do.
"""

from pipeline.repetitions.live import LiveRepetitions
from pipeline.repetitions.results import Repetition, RepetitionParameters, RepetitionSet
from pipeline.repetitions.search import find_repetitions
from pipeline.repetitions.signals import SIGNAL_NAMES, Signals, candidate_signals

__all__ = [
    "SIGNAL_NAMES",
    "LiveRepetitions",
    "Repetition",
    "RepetitionParameters",
    "RepetitionSet",
    "Signals",
    "candidate_signals",
    "find_repetitions",
]
