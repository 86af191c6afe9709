"""Predicates: read by `grammar`, written by `sql`, checked by `check`; `verdict` applies several.

db, worker and cli import it.
"""
