"""How batches lease rows and free them again, and which rows are ready to be claimed.

worker, view and cli import it, and the modules of db that move rows.
"""
