"""Where clips and samples are stored: local folders and fsspec URLs.

Knows no rows and no database; imported by the stages, the other folders of tasks/, and cli.
"""
