"""Templates: fields by name, and nothing else."""

from __future__ import annotations

import pytest

from curate.tasks.text.template import Template

FIELDS = {"subject": "A {dog}", "action": "It runs"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{subject} {action}", "A {dog} It runs"),
        ("{action}: {subject}, {{so}} {action}.", "It runs: A {dog}, {so} It runs."),
        ("{subject} {mood}", None),
        ("", None),
    ],
)
def test_fields_take_the_places_of_their_names(template: str, text: str | None) -> None:
    assert Template.read(template).filled(FIELDS) == text


@pytest.mark.parametrize(
    "template",
    ["{subject", "}", "{}", "{0}", "{subject.__class__}", "{subject[0]}", "{subject!r}", "{a:>9}"],
)
def test_what_is_no_name_of_a_field_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"brace|field|'}'|expected"):
        Template.read(template)


def test_what_is_refused_is_told_as_it_was_written() -> None:
    with pytest.raises(ValueError, match=r"\{subject!r:>9\} is no name"):
        Template.read("A {subject!r:>9}")
