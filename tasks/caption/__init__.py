"""Captioners: models that write what is seen in a clip."""
