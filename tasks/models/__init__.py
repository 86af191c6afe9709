"""Models: where their weights are, how they are read, and the networks themselves.

Knows no rows and no database; stage files, captioners and cli import it.
"""
