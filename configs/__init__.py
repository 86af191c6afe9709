"""What YAML files and the environment may say: pipelines, options, settings; the tree of errors.

Imports nothing of ours; every other folder imports it.
"""
