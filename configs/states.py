"""The states of a dataset. Only a running one is worked on."""

from __future__ import annotations

RUNNING, PAUSED, CANCELLED = "running", "paused", "cancelled"
