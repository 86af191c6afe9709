"""The stages: one file each, found by curate.tasks.registry; curate.tasks.stage is what they are
made of.
"""
