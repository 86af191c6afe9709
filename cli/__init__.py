"""The command line: a file for each command or group of commands, and `main`, the table of them.

It imports all other layers; nothing imports it.
"""

is_program = False  # main() runs for the whole process, not for a test or a notebook
