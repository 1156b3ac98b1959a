"""Which exercise, when, and by whom: features, windows, networks, and a clip's timeline."""
