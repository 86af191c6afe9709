"""Captioners: frames of a clip and a prompt in, a caption out.

Stage files in tasks/ and users' own code import it; it knows no rows and no database.
"""
