"""`curate sql`: one query of a user, behind two fences. `query` is its door; imported by cli only.

`statement` is the first fence. `child`, with `sqlite` or `postgres`, runs in a process of its own
and is the second. `login` makes the Postgres login that can only read; `urls` hands it out.
"""
