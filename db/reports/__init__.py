"""Every number that is shown, and nothing that writes. `overview` has the view of a dataset that
commands show; `worker` and `cli` import from here and count nothing themselves.
"""
