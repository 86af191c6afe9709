"""Models: where their weights are, how they are read, and the networks themselves."""
