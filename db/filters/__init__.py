"""Predicates: `grammar` reads them, `sql` writes them, `check` holds them against a pipeline, and
`verdict` says what they make of a row. Imported by db, worker and cli.
"""
