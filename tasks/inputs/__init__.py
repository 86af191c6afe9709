"""From paths, URLs and tables to the files that become videos.

Knows no rows and no database; imported by the stages, the other folders of tasks/, and cli.
"""
