"""Reads YAML that people write: plain values, each key once, and where each key stands.

PyYAML's safe loader keeps the last of two equal keys, turns 2026-01-02 into a date and 1:30 into
90, and follows an anchor that holds itself until the stack ends.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from curate.configs.errors import ConfigError

_LARGEST = 1 << 20  # bytes
_DEEPEST = 32
_MOST_NODES = 100_000  # with what aliases stand for

_KINDS = {"int": "whole number", "float": "number", "bool": "truth value"}
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = {_PREFIX + name for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
# numbers that YAML 1.1 reads otherwise than people do: 1:30 is 90 and 010 is 8
_MISREAD = re.compile(r"[-+]?0[0-9_]+$|.*:")


class _Loader(yaml.SafeLoader):
    """The safe loader, strict. Raises yaml.MarkedYAMLError with a place for all that it refuses."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node, checked; `parent` and `index` as yaml.composer.Composer has them."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        alias = self.check_event(yaml.AliasEvent)
        before = self._nodes
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConstructorError(None, None, f"more than {_DEEPEST} levels of nesting", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if alias and node.end_mark is None:
            raise ConstructorError(None, None, "an anchor that holds itself", mark)
        self._nodes += self._sizes[node] if alias else 1
        if self._nodes > _MOST_NODES:
            raise ConstructorError(None, None, "aliases that stand for too much", mark)
        self._sizes[node] = self._nodes - before
        self._check_value(node)
        return node

    def _check_value(self, node: yaml.Node) -> None:
        tag, short = node.tag, node.tag.removeprefix(_PREFIX)
        why = ""
        if tag == _PREFIX + "timestamp":
            why = f"{node.value} is read as a date; put it in quotes"
        elif tag not in _PLAIN:
            why = f"a value with the tag {tag.replace(_PREFIX, '!!')}; write it without, in quotes"
        elif short in ("int", "float") and _MISREAD.match(node.value):
            why = f"{node.value} is read as another number; put it in quotes"
        if why:
            raise ConstructorError(None, None, why, node.start_mark)
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            mark = key.start_mark
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (
                f"{_PREFIX}str",
                f"{_PREFIX}merge",
            ):
                what = f"the key {key.value}" if isinstance(key, yaml.ScalarNode) else "a key"
                why = f"{what} is no text; put it in quotes"
                raise ConstructorError(None, None, why, mark)
            if key.value in seen:
                why = f"the key {key.value} is there twice, first in line {seen[key.value]}"
                raise ConstructorError(None, None, why, mark)
            seen[key.value] = mark.line + 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Hashable:
        """The value of a node."""
        try:
            return super().construct_object(node, deep)  # type: ignore[no-any-return]
        except (ValueError, KeyError, OverflowError):
            kind = node.tag.removeprefix(_PREFIX)
            what = f"{str(node.value)[:40]} is no {_KINDS.get(kind, kind)}"
            raise ConstructorError(None, None, what, node.start_mark) from None


def load_text(text: str) -> Any:
    """The value that a text of YAML has. Raises ValueError, which says where and what is wrong."""
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except ReaderError as error:  # before there are marks
        line = text.count("\n", 0, error.position) + 1
        why = f"line {line}: the character U+{int(error.character):04X}, which YAML forbids"
        raise ValueError(why) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"{_place(mark)}: {' '.join(what.split())}") from None


def load_file(file: Path) -> Any:
    """The value in a YAML file. Raises ConfigError, which says where and what is wrong."""
    try:
        return load_text(_content(file))
    except ValueError as error:
        raise ConfigError(source=file, why=error) from None


def _content(file: Path) -> str:
    """The text of a file. Raises ConfigError, and ValueError when it is no text."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(source=file, why=error.strerror or error) from None
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: it is not UTF-8 text; save it as UTF-8") from None


def place_of(file: Path, *keys: str | int) -> str:
    """`line 3, column 5`: where a file has a key, given with those that lead to it.

    Of one that is not there, the place of the deepest that is; '' when nothing can be told.
    """
    try:
        node = _Loader(_content(file)).get_single_node()
    except (ConfigError, ValueError, yaml.YAMLError):
        return ""
    mark = node.start_mark if node else None
    for key in keys:
        if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            mark = node.start_mark
        elif isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == key), None)
            if pair is None:
                break
            mark, node = pair[0].start_mark, pair[1]
        else:
            break
    return _place(mark)


def _place(mark: yaml.Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
