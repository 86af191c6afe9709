"""Exports: tables, folders and shards."""
