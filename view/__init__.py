"""The pages of `curate view`: what the line did, as a browser shows it. They only read.

It uses configs, tasks and db. The command line alone uses it.
"""
