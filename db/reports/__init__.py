"""Every number that is shown, and nothing that writes. Imported by worker and cli."""
