"""Where clips and samples are stored: local folders and fsspec URLs.

It knows neither rows nor the database. The stages, the other folders of tasks/, worker, view and
cli import it.
"""
