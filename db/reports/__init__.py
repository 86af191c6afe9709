"""Every number that the command line shows, and nothing that writes; `overview` has the view of a
dataset.

worker, view and cli import it; worker and cli count nothing themselves.
"""
