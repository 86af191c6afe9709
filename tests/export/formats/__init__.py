"""Each format, read back by what reads it."""
