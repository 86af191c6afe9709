"""Reading that cannot write: the query of a user in `curate sql`, and the engines of `curate view`.

`query` answers `curate sql`, behind two fences: `statement` is the first; `child`, with `sqlite` or
`postgres`, runs in a process of its own and is the second. `engine` makes the engines of the pages.
`login` makes the Postgres login that can only read; `urls` hands it out. cli and view import it.
"""
