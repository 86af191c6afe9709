"""How batches lease rows and free them again, and which rows are ready to be claimed.

Imported by worker, by cli, and by the modules of db that move rows.
"""
