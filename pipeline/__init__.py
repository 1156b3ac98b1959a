"""Kinoscope's pipeline: from a clip to poses and what they mean. Never imports streamlit."""

__version__ = "0.1.0"
