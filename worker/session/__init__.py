"""A home as one call works on it, for commands and for Python alike: its database and datasets,
what is enqueued, and workers of this host until nothing is left. Nothing here prints a table.
"""
