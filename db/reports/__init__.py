"""Every number that is shown, and nothing that writes; `overview` has the view of a dataset.

worker and cli import it, and count nothing themselves.
"""
