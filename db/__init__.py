"""The database: schema, migrations, engines, claims, saves, filters, reports, export.

Imports configs only; worker, view and cli import it, tasks never do.
"""
