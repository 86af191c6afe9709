"""The harness of faults: a real line of curate that can be broken, and an audit of what came of it.

The tests of this folder and benchmarks/faults.py use it.
"""
