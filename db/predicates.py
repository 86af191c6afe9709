"""The predicates that users write: one SQL expression, read here and written anew by `curate.db.predicate_sql`.

Each node of the tree must be one of those that the writer knows, each column a known one. What runs is what
the writer made of it. Both engines then let the same rows pass, which plain SQL would not do:

/            always of real numbers (3 / 2 is 1.5), and NULL when divided by zero (Postgres: an error)
+ - *        of real numbers too, so that nothing overflows an integer (Postgres: an error)
LIKE         case-sensitive (SQLite's is not), without an escape character; ILIKE ignores the case of A to Z
< > BETWEEN  order text by its UTF-8 bytes, whatever the collation of the database
lower upper  change A to Z only
min max      of two or more numbers, also spelled least and greatest; NULL if one is NULL
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

MAX_LENGTH = 2000
FUNCTIONS = ("abs", "coalesce", "greatest", "least", "length", "lower", "max", "min", "nullif", "upper")


class Refused(ValueError):
    """Why a predicate is refused, in a few words."""


class UnknownColumn(Refused):
    """A column that is not among the known ones; `name` is it."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        super().__init__(unknown(name, known))


def unknown(name: str, known: Iterable[str]) -> str:
    """Says that there is no column `name`, and which of the known ones come nearest."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, 3, 0.5)
    if not near:
        return f"there is no column {name}; the columns here are {', '.join(names)}"
    return f"there is no column {name}; did you mean {' or '.join(near)}?"


def read(predicate: str) -> exp.Expression:
    """The syntax tree of one SQL expression. Raises Refused when it is anything else."""
    if len(predicate) > MAX_LENGTH:
        raise Refused(f"it has {len(predicate)} characters; at most {MAX_LENGTH} are allowed")
    if not predicate.strip():
        raise Refused("it is empty")
    if any(ord(c) < 32 and c not in "\t\n\r" or 0xD800 <= ord(c) < 0xE000 for c in predicate):
        raise Refused("it holds a control character")
    try:
        statements = sqlglot.parse(f"SELECT 1 FROM t WHERE ({predicate}\n)", read="postgres")
    except RecursionError:
        raise Refused("it is nested too deeply") from None
    except SqlglotError as error:
        raise Refused(f"it cannot be read as SQL: {_first_line(error)}") from None
    return _only_where(statements)


def _first_line(error: SqlglotError) -> str:
    problems = getattr(error, "errors", None)
    if not problems:
        return str(error).splitlines()[0]
    return f"{problems[0]['description'].rstrip('.')}, at {problems[0]['highlight'].strip()!r}"


def _only_where(statements: list[exp.Expression | None]) -> exp.Expression:
    select = statements[0] if len(statements) == 1 else None
    where = select.args.get("where") if isinstance(select, exp.Select) else None
    paren = where.this if where else None
    parts = {k for k, v in select.args.items() if v and k not in ("kind",)} if select else set()
    # `1=1) OR (1=1` would leave the parentheses that were put around it
    if not isinstance(paren, exp.Paren) or not parts <= {"expressions", "from", "from_", "where"}:
        raise Refused("it must be one SQL expression")
    if any(node.comments for node in select.walk()) if select else False:
        raise Refused("comments are not allowed")
    return paren.this
