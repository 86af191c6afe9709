"""One file a format. What a format is stands in curate.export.format; registry has the list."""
