"""What trainers read: clips of datasets written as tables, folders and shards.

May import configs, tasks and db; only cli imports it.
"""
