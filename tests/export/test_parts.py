"""Parts: which clips they hold, and how they are told apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from curate.export.format import Item
from curate.export.parts import MEMBERS, digest, parts


def item(number: int, size: int = 10, text: str = "a cat") -> Item:
    return Item(number, f"/c/{number}.mp4", size, text, 64, 48, 24.0, 6, (number,))


@given(st.lists(st.integers(0, 5000)), st.integers(1, 5), st.integers(1, 20_000))
def test_parts_are_as_full_as_they_may_be(sizes: list[int], most: int, most_bytes: int) -> None:
    found = [item(n, size) for n, size in enumerate(sizes)]
    made = list(parts(found, most, most_bytes))
    assert [i for part in made for i in part] == found
    taken = [sum(i.size + MEMBERS for i in part) for part in made]
    for part, size in zip(made, taken, strict=True):
        assert len(part) == 1 or (len(part) <= most and size <= most_bytes)
    for part, size, after in zip(made, taken, made[1:], strict=False):
        assert len(part) == most or size + after[0].size + MEMBERS > most_bytes


def test_a_digest_is_that_of_all_that_is_written() -> None:
    others = [
        [item(2)], [item(1, 11)], [item(1, text="a dog")], [item(1), item(2)], [],
        [item(1)._replace(values=(2,))], [item(1)._replace(changed=5)],
    ]  # fmt: skip
    assert len({digest(part) for part in ([item(1)], *others)}) == 8
    assert digest([item(1)]) == digest([item(1)])
