"""Predicates: `grammar` reads one, `sql` writes it, `clauses` finds its thresholds, `check` checks
it against a pipeline; `verdict` and `judge` apply several.

db, worker, view and cli import it.
"""
