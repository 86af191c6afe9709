"""The first fence of `curate sql`: the statement is read here, and everything that is not one query
is refused with a reason.

It is here for its messages. The second fence, the process of `curate.db.readonly.child`, holds
without it.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from curate.configs.errors import SqlRefused
from curate.db.filters.grammar import problem
from curate.db.readonly.functions import forbidden_call

MAX_LENGTH = 20_000
_BEGINNINGS = ("SELECT", "WITH", "VALUES", "")  # nothing: a parenthesis or a comment
_WRITES = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.Command,
)


def check_statement(statement: str, dialect: str) -> None:
    """Raise SqlRefused unless a statement is one query; `dialect` is sqlglot's name of the
    engine.
    """
    if len(statement) > MAX_LENGTH:
        raise SqlRefused(
            why=f"it has {len(statement)} characters; at most {MAX_LENGTH} are allowed"
        )
    if "\x00" in statement or any(0xD800 <= ord(c) < 0xE000 for c in statement):
        raise SqlRefused(why="it holds a character that SQL cannot")
    word = re.split(r"\W", statement.lstrip(), maxsplit=1)[0].upper()
    if word not in _BEGINNINGS:
        raise SqlRefused(why=f"it is not a query but {word}")
    try:
        trees = [tree for tree in sqlglot.parse(statement, read=dialect) if tree is not None]
    except RecursionError:
        raise SqlRefused(why="it is nested too deeply") from None
    except SqlglotError as error:
        raise SqlRefused(why=f"it cannot be read: {problem(error)}") from None
    if len(trees) != 1:
        raise SqlRefused(why=f"it holds {len(trees)} statements" if trees else "it is empty")
    tree = trees[0]
    inner = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if not isinstance(inner, exp.Select | exp.SetOperation | exp.Values):
        raise SqlRefused(why=f"it is not a query but {tree.key.upper()}")
    for node in tree.walk():
        if isinstance(node, _WRITES):
            raise SqlRefused(why=f"there is a {node.key.upper()} in it")
        if isinstance(node, exp.Into):
            raise SqlRefused(why="SELECT … INTO makes a table")
        if isinstance(node, exp.Lock):
            raise SqlRefused(why="FOR UPDATE and FOR SHARE lock rows")
    # SQLite asks for itself about each function
    if dialect == "postgres" and (
        name := forbidden_call(sqlglot.tokenize(statement, read=dialect), tree)
    ):
        raise SqlRefused(why=f"the function {name} is not allowed")
