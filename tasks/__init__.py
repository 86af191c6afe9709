"""The stages, one file each: `registry` finds them, `stage` is the extension API.

Imports configs only; worker, view and cli import it, db never does.
"""
