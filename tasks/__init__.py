"""The stages, a file each; `stage` is the extension API, `registry` finds the stages.

Imports configs only; worker and cli import it, db never.
"""
