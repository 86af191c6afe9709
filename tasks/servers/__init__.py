"""Servers that stages ask: the gate that requests go through, and the choice among several.

tasks imports it, and the worker, which makes the gate.
"""
