"""Estimates from a pickle's opcodes how large its values are, before it is unpickled.

Sharing makes them large: in a chain of sixty tuples, each holding the previous one twice, the last
takes 2**60 steps to hash, in a file of a few hundred bytes.
"""

from __future__ import annotations

import pickletools
from typing import Any

_PASSING = ("GET", "BINGET", "LONG_BINGET")
KEEPING = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_FILLING = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS")  # fill unhashable containers


class Scales:
    """Weighs a pickle's values, opcode by opcode, without creating any.

    A value weighs 1 plus the weight of all that it holds; a value held twice counts twice, because
    hashing visits it twice. `steps` is the total weight taken from the stack so far, an upper bound
    on the steps of hashing it. `_MARK` is a weight that no value has.
    """

    _MARK = 0

    def __init__(self) -> None:
        self._stack: list[int] = []
        self._memo: dict[int, int] = {}
        self.steps = 0

    def take(self, code: pickletools.OpcodeInfo, argument: Any) -> None:
        """Weigh the next opcode. Invalid ones are ignored: the Unpickler rejects them."""
        if code.name in KEEPING:
            self._memo[len(self._memo) if argument is None else int(argument)] = (
                self._stack[-1] if self._stack else 1
            )
        elif code.name in _PASSING:
            self._stack.append(self._memo.get(int(argument), 1))
        elif code.name == "MARK":
            self._stack.append(self._MARK)
        elif code.name == "DUP":
            self._stack += self._stack[-1:]
        else:
            weight = sum(self._popped(code))
            self.steps += weight
            self._stack += [1 if code.name in _FILLING else 1 + weight] * len(code.stack_after)

    def _popped(self, code: pickletools.OpcodeInfo) -> list[int]:
        """The weights that an opcode takes from the stack.

        It takes a fixed number of values, or all down to the last mark and those it names below.
        """
        below = len(code.stack_before)
        popped: list[int] = []
        if pickletools.markobject in code.stack_before:
            below = code.stack_before.index(pickletools.markobject)
            while self._stack and (weight := self._stack.pop()) != self._MARK:
                popped.append(weight)
        for _ in range(min(below, len(self._stack))):
            popped.append(self._stack.pop())
        return popped
