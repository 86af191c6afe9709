"""What a YAML file and the environment may say: pipelines, options, settings; and the tree of errors.

Imports nothing of ours; every other folder imports it.
"""
