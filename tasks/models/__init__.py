"""Models: where their weights are, how they are read, and the networks themselves.

Nothing here knows rows or a database; stage files, captioners, worker and cli import it.
"""
