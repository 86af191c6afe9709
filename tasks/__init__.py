"""The stages, one file each: `registry` finds them, `stage` is the extension API.

The package imports only configs. worker and cli import it, db never does.
"""
