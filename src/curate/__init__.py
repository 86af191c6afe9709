"""Turns folders of raw videos into clean, captioned clips for training text-to-video models."""

__version__ = "0.1.0"
