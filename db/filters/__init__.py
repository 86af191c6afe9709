"""Predicates: read, checked, written as SQL, and what they say of a row. Imported by db, worker and
cli.
"""
