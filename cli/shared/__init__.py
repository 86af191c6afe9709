"""What several commands share: options, output, the session, datasets, pipelines, workers of this host.
The commands in cli/ import it; it imports none of them.
"""
