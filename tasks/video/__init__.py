"""Functions of media: decoding, finding scenes, sampling, hashing, encoding.

Knows no rows and no database; only the stages and the other folders of tasks/ import it.
"""
