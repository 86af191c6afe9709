"""How a batch is saved, in one transaction: scores, new clips, positions, the log.

worker imports it, and the modules of db that move rows.
"""
