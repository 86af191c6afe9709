"""Finds the files that become videos, by paths, URLs and tables.

It knows neither rows nor the database. The stages, the other folders of tasks/, worker, view and
cli import it.
"""
