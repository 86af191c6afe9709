"""What a checked statement of `curate sql` is before it runs: the one that was typed, but for two
things that no engine has. Both keep the rest as it is, letter by letter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import sqlglot
from sqlglot import TokenType, exp

from curate.configs.errors import SqlRefused
from curate.db.schema import metadata
from curate.db.shown_paths import PATH_COLUMNS
from curate.db.views import CLIPS_VIEW

_PARENTHESES = {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}


def with_percentiles(statement: str) -> str:
    """For Postgres: `median(x)` and `quantile(x, share)` written as percentile_cont."""
    tokens = sqlglot.tokenize(statement, read="postgres")
    return _Percentiles(statement, tokens).text(0, len(tokens), len(statement))


class _Percentiles:
    def __init__(self, statement: str, tokens: Sequence[Any]) -> None:
        self._statement = statement
        self._tokens = tokens

    def text(self, first: int, last: int, end: int, begin: int = 0) -> str:
        """The text from `begin` to `end`, of the tokens from `first` on to before `last`."""
        tokens = self._tokens
        parts = []
        at = first
        while at < last:
            name = tokens[at]
            arguments = self._arguments(at)
            if arguments and (name.text.lower(), len(arguments)) in (
                ("median", 1),
                ("quantile", 2),
            ):
                parts.append(self._statement[begin : name.start])
                value, *share = [
                    self.text(
                        before + 1, behind, tokens[behind].start, tokens[before].end + 1
                    ).strip()
                    for before, behind in arguments
                ]
                parts.append(
                    f"percentile_cont({share[0] if share else '0.5'})"
                    f" WITHIN GROUP (ORDER BY {value})"
                )
                at = arguments[-1][1]
                begin = tokens[at].end + 1
            at += 1
        return "".join(parts) + self._statement[begin:end]

    def _arguments(self, at: int) -> list[tuple[int, int]]:
        """The tokens before and behind each argument, if the token at `at` is the name in a
        call.
        """
        pair = [token.token_type for token in self._tokens[at : at + 2]]
        if pair != [TokenType.VAR, TokenType.L_PAREN]:
            return []
        edges = [at + 1]
        depth = 0
        for here in range(at + 1, len(self._tokens)):
            kind = self._tokens[here].token_type
            depth += _PARENTHESES.get(kind, 0)
            if not depth or (depth == 1 and kind == TokenType.COMMA):
                edges.append(here)
            if not depth:
                break
        return list(itertools.pairwise(edges))


def of_dataset(statement: str, dialect: str, schemas: tuple[str, str], dataset_id: int) -> str:
    """The statement, in which the tables hold the rows of one dataset alone.

    `dialect` is sqlglot's name of the engine, `schemas` those in which the tables are, and the ones
    with paths. Raises SqlRefused when the statement goes past that.
    """
    tree = sqlglot.parse_one(statement, read=dialect)
    if qualified := next((t for t in tree.find_all(exp.Table) if t.db), None):
        raise SqlRefused(why=f"with --dataset, write {qualified.name} without {qualified.db}")
    named = {table.name.lower() for table in tree.find_all(exp.Table)}
    queries = _queries(schemas, dataset_id)
    if taken := sorted({cte.alias.lower() for cte in tree.find_all(exp.CTE)} & queries.keys()):
        raise SqlRefused(why=f"with --dataset, a query in WITH cannot have the name {taken[0]}")
    tables = [
        f"{name} AS NOT MATERIALIZED ({query})" for name, query in queries.items() if name in named
    ]
    if not tables:
        return statement
    first, second = [*sqlglot.tokenize(statement, read=dialect), None][:2]
    assert first is not None
    if first.token_type != TokenType.WITH:
        return f"{statement[: first.start]}WITH {', '.join(tables)} {statement[first.start :]}"
    begin = second if second and second.token_type == TokenType.RECURSIVE else first
    at = begin.end + 1
    return f"{statement[:at]} {', '.join(tables)},{statement[at:]}"


def _queries(schemas: tuple[str, str], dataset_id: int) -> dict[str, str]:
    """For each table with rows of datasets the query of those of one."""
    plain, of_paths = schemas
    of_clips = f'SELECT id FROM "{plain}".clips WHERE dataset_id = {dataset_id}'  # noqa: S608
    tables = {t.name: t.c.keys() for t in metadata.tables.values()} | {CLIPS_VIEW: ["dataset_id"]}
    queries = {}
    for name, columns in tables.items():
        rows = f'SELECT * FROM "{of_paths if name in PATH_COLUMNS else plain}".{name}'  # noqa: S608
        if name == "datasets":
            queries[name] = f"{rows} WHERE id = {dataset_id}"
        elif "dataset_id" in columns:
            queries[name] = f"{rows} WHERE dataset_id = {dataset_id}"
        elif "clip_id" in columns:
            queries[name] = f"{rows} WHERE clip_id IN ({of_clips})"
    return queries
