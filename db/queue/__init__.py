"""How rows are taken, kept and freed: claims, leases, and what is ready. Imported by worker and
cli.
"""
