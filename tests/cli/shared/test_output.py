"""Tables, lengths of time and remarks: what may reach a terminal."""

from __future__ import annotations

import datetime
import decimal
import json
import re
from pathlib import Path

import pytest

from curate.cli.shared.output import Counter, aligned, emit_cells, emit_json, emit_parts
from curate.worker.session.console import Console


def test_a_table_for_a_pipe_is_aligned() -> None:
    assert (
        aligned(["a", "n"], [["x", "10"], ["long", "9"]], [False, True])
        == "a      n\nx     10\nlong   9\n"
    )


def test_short_work_is_not_talked_about(capsys: pytest.CaptureFixture[str]) -> None:
    with Counter(Console(), "rows judged") as counter:
        counter.show(5, 10)
    assert capsys.readouterr().err == ""


def test_long_work_has_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "LINE_EVERY", 0.0)
    with Counter(Console(), "rows judged") as counter:
        counter.show(20_000, 1_000_000)
    assert capsys.readouterr().err.endswith(" 20 000 of 1 000 000 rows judged\n")


def test_quiet_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counter, "LINE_EVERY", 0.0)
    with Counter(Console(quiet=True), "clips written") as counter:
        counter.show(1)
    assert capsys.readouterr().err == ""


def drawn(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    may_fold: bool = False,
) -> list[str]:
    """A table of three columns, 49 letters wide, on a terminal."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [[1, "/videos/holiday/0001.mp4", "a cat on a mat"], [12, "/v/b.mp4", None]]
    emit_cells(["clip_id", "path", "text"], rows, may_fold)
    return unstyled(capsys.readouterr().out)


def unstyled(out: str) -> list[str]:
    """Its lines, without what makes letters bold."""
    return [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in out.splitlines()]


def test_a_table_that_fits_is_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(capsys, monkeypatch, 49) == [
        "clip_id  path                      text",
        "      1  /videos/holiday/0001.mp4  a cat on a mat",
        "     12  /v/b.mp4",
    ]


def test_one_that_does_not_has_a_column_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(capsys, monkeypatch, 48) == [
        "row 1",
        "clip_id  1",
        "path     /videos/holiday/0001.mp4",
        "text     a cat on a mat",
        "",
        "row 2",
        "clip_id  12",
        "path     /v/b.mp4",
        "text",
    ]


def test_what_is_long_in_a_column_a_line_is_copied_in_one_piece(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    command = "curate models fetch clip-vit-large-patch14"
    emit_cells(["get", "path"], [[command, "/models/" + "x" * 60]])
    assert unstyled(capsys.readouterr().out) == [
        "row 1",
        f"get   {command}",
        "path  /models/" + "x" * 60,
    ]


def test_texts_may_be_folded_but_never_narrower_than_one_can_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folded = drawn(capsys, monkeypatch, 35, may_fold=True)
    assert (folded[0].split(), len(folded)) == (["clip_id", "path", "text"], 5)
    assert drawn(capsys, monkeypatch, 34, may_fold=True)[0] == "row 1"


def test_folding_breaks_no_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a heading nor a name; what is longer stands below."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    text_ = "hash_first_mirrored, hash_views"
    for width, whole in ((50, True), (38, True), (37, False)):
        monkeypatch.setenv("COLUMNS", str(width))
        emit_cells(["rows_at_work_now", "columns"], [["a b c d e f g h i j", text_]])
        lines = unstyled(capsys.readouterr().out)
        assert not whole or max(map(len, lines)) <= width
        assert (lines[0] != "row 1") is whole
        words = set(" ".join(lines).split())
        assert not whole or {"rows_at_work_now", "hash_first_mirrored,"} <= words


def test_a_path_that_does_not_fit_stands_whole_below_its_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    long = "/videos/" + "deep/" * 9 + "a.mp4"
    emit_cells(
        ["name", "file", "fix"], [["one", "/a.mp4", "no"], ["two", long, "do"], ["3", "", ""]]
    )
    assert unstyled(capsys.readouterr().out) == [
        "name  file                           fix",
        "one   /a.mp4                         no",
        "two                                  do",
        f"    file  {long}",
        "3",
    ]


@pytest.mark.parametrize(("width", "lines"), [(11, ["aa 1 · bb 2", "cc 3"]), (4, None)])
def test_parts_stay_whole(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    lines: list[str] | None,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    parts = ["aa 1", "bb 2", "cc 3"]
    emit_parts(parts)
    assert capsys.readouterr().out == "aa 1 · bb 2 · cc 3\n"  # to a pipe
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    emit_parts(parts)
    assert capsys.readouterr().out.splitlines() == (lines or parts)


def test_a_pipe_gets_lines_of_any_length(capsys: pytest.CaptureFixture[str]) -> None:
    emit_cells(["a", "b"], [["x" * 200, "y" * 200]], may_fold=False)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_column_of_any_name_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    emit_cells(["[red]x", "y\x1b[2J"], [[1, 2]])
    assert unstyled(capsys.readouterr().out)[0].split() == ["[red]x", "y\\x1b[2J"]


def test_json_has_a_form_for_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Decimals, dates, paths, bytes, and what is no number, wherever it stands."""
    value = {
        "float": [1.5, float("nan"), float("-inf")],
        "decimal": (decimal.Decimal("1.5"), decimal.Decimal("NaN")),
        "date": [datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5)],
        "bytes": b"\x00\xff",
        "path": Path("/x"),
        "half": "\ud800é",
        1: None,
    }
    emit_json(value)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    out = capsys.readouterr().out
    out.encode()  # UTF-8 has no half of a pair either
    assert json.loads(out, parse_constant=refuse) == {
        "float": [1.5, None, None],
        "decimal": [1.5, None],
        "date": ["2020-01-02", "2020-01-02T03:04:05"],
        "bytes": "AP8=",
        "path": "/x",
        "half": "\ud800é",
        "1": None,
    }


def test_a_narrow_terminal_does_without_what_is_spare(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    heads = {20: ["aaaa", "bbbb", "cccc"], 15: ["aaaa", "cccc"], 9: ["aaaa"], 3: ["row"]}
    for width, shown in heads.items():
        monkeypatch.setenv("COLUMNS", str(width))
        emit_cells(["aaaa", "bbbb", "cccc"], [[1, 2, 3]], spare=["bbbb", "cccc"])
        lines = unstyled(capsys.readouterr().out)
        assert lines[0].split() == shown
        left_out = [name for name in heads[20] if name not in shown]
        told = f"no room for: {', '.join(left_out)}; a wider terminal shows them"
        said = " ".join(lines[2:]) if shown[0] != "row" else told
        assert said == (told if left_out else "")
