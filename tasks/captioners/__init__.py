"""Captioners: frames of a clip and a prompt in, text out."""
