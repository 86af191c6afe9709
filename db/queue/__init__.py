"""How rows are leased to batches and become free again; what is ready to be claimed.

worker and cli import it, and what moves rows in db.
"""
