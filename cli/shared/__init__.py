"""What several commands share: options, output, the session, datasets, workers of this host.

The commands in cli/ import it; it imports none of them.
"""
