"""The command line: one file a command group; `main` prints errors and sets exit codes."""
