"""The words of export's options."""

from __future__ import annotations

import pytest

from curate.cli.shared.export_options import bytes_of, shares_of
from curate.configs.errors import UsageError


@pytest.mark.parametrize(
    ("text", "number"), [("500", 500), ("2k", 2000), ("1G", 10**9), ("3 MB", 3 * 10**6)]
)
def test_sizes_are_powers_of_ten(text: str, number: int) -> None:
    assert bytes_of(text) == number


@pytest.mark.parametrize("text", ["", "0", "G", "1.5G", "-1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="500M"):
        bytes_of(text)


def test_shares_keep_their_order() -> None:
    assert list(shares_of("train=0.9, val=.1").items()) == [("train", 0.9), ("val", 0.1)]
    assert shares_of(None) == {}


@pytest.mark.parametrize(
    "text", ["train", "train=1,train=0", "a=0.5,b=0.4", "a=1,b=0", "../a=1", "a=1.2.3", ",", "a=-1"]
)
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--split"):
        shares_of(text)
