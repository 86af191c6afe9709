"""The pages of `curate view`, which show in a browser what became of the rows; they only read.

Imports configs, db and tasks; only cli imports it.
"""
