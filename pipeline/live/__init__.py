"""A camera's frames as they come: poses, analyses and a recording, without any web framework.

``LiveWorker`` takes frames and never queues them, ``panels`` say what is seen while it happens, ``Recorder`` writes
the frames and poses so that a killed program loses a second at the most, ``recordings`` makes runs of what was
recorded.
"""
