"""Which names Flower answers to."""

from __future__ import annotations

import pytest

from curate.worker.flower_page import is_own

HOSTS = frozenset(["localhost", "node7", "flower.example"])


@pytest.mark.parametrize(
    "name",
    ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.9.9.9", "[::1]", "::1", "node7"],
)
@pytest.mark.parametrize("reaches_all", [False, True])
def test_its_own_names(name: str, reaches_all: bool) -> None:
    assert is_own(name, HOSTS, reaches_all)


@pytest.mark.parametrize(
    "name",
    ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", ".", "[]", "127.1", "a,b",
     "0x7f000001", "2130706433", "flower.example.evil"],
)  # fmt: skip
@pytest.mark.parametrize("reaches_all", [False, True])
def test_names_of_others(name: str, reaches_all: bool) -> None:
    assert not is_own(name, HOSTS, reaches_all)


def test_an_address_of_the_network_is_its_own_only_where_it_listens_for_others() -> None:
    assert is_own("10.0.0.7", HOSTS, reaches_all=True)
    assert not is_own("10.0.0.7", HOSTS, reaches_all=False)
