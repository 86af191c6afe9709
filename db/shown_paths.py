"""Which columns are paths, and a view that shows them absolute; see curate.db.home.

Imports nothing, for the process of each statement of `curate sql` starts with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

BELOW_HOME = "./"
PATH_COLUMNS = {  # by table or view
    "clips": ("path",),
    "videos": ("path",),
    "datasets": ("root",),
    "clips_view": ("path", "source"),
}
_NAMES_PATHS = re.compile(r"\b(path|source|root)\b|\*", re.IGNORECASE)


def view_of_shown(name: str, schema: str, columns: Sequence[str], home: str) -> str:
    """The statement that makes a temporary view, which hides a table for one connection: its
    columns, with paths as they are shown.
    """
    literal = home.replace("'", "''")
    shown = []
    for column in columns:
        quoted = '"' + column.replace('"', '""') + '"'
        if column in PATH_COLUMNS[name]:
            shown.append(
                f"CASE WHEN substr({quoted}, 1, 2) = '{BELOW_HOME}' "
                f"THEN '{literal}' || substr({quoted}, 2) ELSE {quoted} END AS {quoted}"
            )
        else:
            shown.append(quoted)
    return f'CREATE TEMPORARY VIEW {name} AS SELECT {", ".join(shown)} FROM "{schema}".{name}'  # noqa: S608


def may_show_paths(statement: str) -> bool:
    """Whether a statement may read a column of paths."""
    return _NAMES_PATHS.search(statement) is not None
