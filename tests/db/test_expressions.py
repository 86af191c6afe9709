"""SQL that both engines say in their own way."""

from __future__ import annotations

import pytest

from curate.db.expressions import quoted


@pytest.mark.parametrize("name", ["a b", 'a"b', "a;b", "", "ä"])
def test_only_plain_names_become_columns(name: str) -> None:
    with pytest.raises(ValueError, match="not a column name"):
        quoted(name)
