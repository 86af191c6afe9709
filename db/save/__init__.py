"""How a batch is saved, in one transaction: scores, new clips, positions, the log.

Imported by worker, and by the modules of db that move rows.
"""
