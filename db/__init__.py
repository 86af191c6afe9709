"""All SQL of curate: schema, engines, claims, saves, filters, reports, migrations, export.

Imports configs only; worker and cli import it, tasks never do.
"""
