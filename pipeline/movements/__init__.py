"""What people do with their bodies, repetition by repetition: measured once, judged by thresholds that can be moved.

``analyze`` does everything; ``measure`` is its slow half and ``judge`` its quick one. A movement is one file: a
``Movement`` with its metrics, its rules and its presets of thresholds.
"""
