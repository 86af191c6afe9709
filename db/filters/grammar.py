"""The predicates that users write: one SQL expression, read here and written anew by
`curate.db.filters.sql`.

The writer refuses every node of the tree that it does not know, and every unknown column. What runs
is what the writer made of it. Both engines then let the same rows pass, which plain SQL would not
do:

/            of real numbers, always (3 / 2 is 1.5), and NULL when divided by zero (Postgres: an
             error)
+ - *        of real numbers too, so that nothing overflows an integer (Postgres: an error)
LIKE         case-sensitive (SQLite's is not), without an escape character; ILIKE ignores the case
             of A to Z
< > BETWEEN  order text by its UTF-8 bytes, whatever the collation of the database
lower upper  change A to Z only
min max      of two or more numbers, also spelled least and greatest; NULL if one is NULL
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError

from curate.db.filters.columns import unknown

Node = Any  # sqlglot's base class has another name in each major version
MAX_LENGTH = 2000
TOO_DEEP = "it is nested too deeply"
_MAX_DEPTH = 16
FUNCTIONS = (
    "abs",
    "coalesce",
    "greatest",
    "least",
    "length",
    "lower",
    "max",
    "min",
    "nullif",
    "upper",
)


class PredicateError(ValueError):
    """Why a predicate is refused, in a few words."""


class UnknownColumnError(PredicateError):
    """A column that is not among the known ones; `name` is it."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        super().__init__(unknown(name, known))


def read(predicate: str) -> Node:
    """The syntax tree of one SQL expression. Raises PredicateError when it is anything else."""
    if len(predicate) > MAX_LENGTH:
        raise PredicateError(
            f"it has {len(predicate)} characters; at most {MAX_LENGTH} are allowed"
        )
    if not predicate.strip():
        raise PredicateError("it is empty")
    if any((ord(c) < 32 and c not in "\t\n\r") or 0xD800 <= ord(c) < 0xE000 for c in predicate):
        raise PredicateError("it holds a control character")
    try:
        # sqlglot recurses; these bounds keep it far from Python's limit, whoever calls it
        depth = signs = 0
        for token in sqlglot.tokenize(predicate, read="postgres"):
            depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
            signs = signs + 1 if token.token_type in (TokenType.NOT, TokenType.DASH) else 0
            if depth > _MAX_DEPTH or signs > _MAX_DEPTH:
                raise PredicateError(TOO_DEEP)
        # read, never run
        statements = sqlglot.parse(f"SELECT 1 FROM t WHERE ({predicate}\n)", read="postgres")  # noqa: S608
    except RecursionError:
        raise PredicateError(TOO_DEEP) from None
    except SqlglotError as error:
        raise PredicateError(f"it cannot be read as SQL: {problem(error)}") from None
    select = statements[0] if len(statements) == 1 else None
    where = select.args.get("where") if isinstance(select, exp.Select) else None
    paren = where.this if where else None
    parts = {k for k, v in select.args.items() if v and k not in ("kind",)} if select else set()
    # `1=1) OR (1=1` would leave the parentheses that were put around it
    if not isinstance(paren, exp.Paren) or not parts <= {"expressions", "from", "from_", "where"}:
        raise PredicateError("it must be one SQL expression")
    if any(node.comments for node in paren.walk()):
        raise PredicateError("comments are not allowed")
    return paren.this


def problem(error: SqlglotError) -> str:
    """What cannot be read, and where, in a few words."""
    problems = getattr(error, "errors", None)
    if not problems:
        return "a quote or a comment is not closed"
    what = problems[0]["description"].split(":")[0].rstrip(".")
    return f"{what}, at {problems[0]['highlight'].strip()!r}"


def formatted(node: Node) -> str:
    """The SQL of a node, shortened for a message."""
    sql = str(node.sql("postgres"))
    return sql if len(sql) <= 40 else sql[:37] + "..."


def why_not(node: Node, argument: str = "") -> str:
    """Why a node, or an argument of it, is not part of the language."""
    if isinstance(node, exp.Query | exp.Exists) or argument == "query":
        return "a query inside of it is not allowed"
    if isinstance(node, exp.Column) and argument:
        return f"write the column alone, without a table: {node.name}"
    if isinstance(node, exp.Func) and not argument:
        return f"{formatted(node)} is not allowed; the functions are {', '.join(FUNCTIONS)}"
    return f"{formatted(node)} is not allowed"


def depth(sql: str) -> int:
    """How deep its parentheses go."""
    level = deepest = 0
    for character in re.sub(r"'[^']*'", "", sql):
        level += {"(": 1, ")": -1}.get(character, 0)
        deepest = max(level, deepest)
    return deepest


def chain(node: Node, kinds: tuple[type[Any], ...]) -> list[Node]:
    """The operands of a chain such as a + b - c, which is a tree that leans to the left."""
    operands: list[Node] = []
    while isinstance(node, kinds):
        operands.append(node.expression)
        node = node.this
    return [node, *reversed(operands)]


def unsigned(node: Node) -> Node:
    """A node without a minus in front."""
    return node.this if isinstance(node, exp.Neg) else node


def lower_ascii(value: str) -> str:
    """The text with A to Z in lower case."""
    return "".join(c.lower() if c.isascii() else c for c in value)


def glob(like: str) -> str:
    """The GLOB pattern of SQLite for a LIKE pattern without an escape character."""
    return "".join({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}.get(c, c) for c in like)
