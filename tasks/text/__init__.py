"""Texts: pure functions over strings, and the captions of a clip as stages read and write them.

It does not know the database. The stages and cli import it.
"""
