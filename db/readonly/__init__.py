"""`curate sql`: one read-only statement of a user, fenced twice. Imported by cli."""
