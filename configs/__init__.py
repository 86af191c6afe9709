"""Typed settings and pipelines: what a YAML file may say, its defaults and ranges."""
