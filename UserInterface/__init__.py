"""The dashboard: pages read widgets, call one pipeline function and render."""
