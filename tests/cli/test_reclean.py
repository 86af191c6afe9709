"""reclean: clips go through clean_text once more."""

from __future__ import annotations

from tests.cli.conftest import Call, Filled, option_of, positions


def test_reclean_puts_clips_back_to_clean_text_with_other_options(
    curate: Call, captioned: Filled
) -> None:
    result = curate(
        "reclean", "pets", "--set", "clean_text.clean=t5", "--set", "clean_text.refine=false"
    )
    assert (result.code, result.out) == (0, "dataset pets: 7 clips back to clean_text\n"), (
        result.err
    )
    assert positions(captioned) == [("clean_text", "done", 7)]
    assert (
        option_of(captioned, "clean_text", "clean"),
        option_of(captioned, "clean_text", "refine"),
    ) == (
        "t5",
        False,
    )
