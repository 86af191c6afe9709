"""Texts: pure functions over strings, and the captions of a clip as stages read and write them.

Stage files in tasks/ import it; it knows no database.
"""
