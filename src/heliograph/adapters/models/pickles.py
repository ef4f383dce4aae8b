"""Reads the few pickles that hold tensors, without the ``pickle`` module.

A pickle is a program for a stack machine. This one knows only the instructions that build
dictionaries, lists and tuples of plain values; it looks up names in a table that the caller
gives and can call nothing else. Whatever else a pickle asks for is an error, and nothing runs.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, ClassVar

from heliograph.core import errors

PICKLE_INSTRUCTIONS = 1_000_000
INSTEAD = "Of a whole model, save its state_dict(), or export it to ONNX."

PLAIN_VALUES = frozenset(
    ["BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "BINSTRING", "SHORT_BINSTRING"]
)
CONSTANTS: Mapping[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class PickleReader:
    """Reads pickles of plain values.

    Args:
        names: what ``module name`` stands for. A function in it may be called by the pickle.
        resolve: what a persistent id, always a tuple, stands for.
    """

    def __init__(
        self, *, names: Mapping[str, object], resolve: Callable[[tuple[object, ...]], object]
    ) -> None:
        self._names = names
        self._resolve = resolve
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def read(self, stream: IO[bytes]) -> object:
        """The value of the pickle at the stream's position; the stream then stands behind it.

        Raises:
            ModelInvalid: the pickle asks for anything but plain values and the names given.
            ValueError, IndexError: it is damaged.
        """
        self._stack, self._marks, self._memo = [], [], {}
        for count, (opcode, argument, _position) in enumerate(pickletools.genops(stream)):
            if count >= PICKLE_INSTRUCTIONS:
                raise errors.ModelInvalid("A pickle in the file is too long.")
            self._step(opcode.name, argument)
        if len(self._stack) != 1 or self._marks:
            raise errors.ModelInvalid("A pickle in the file is damaged.")
        return self._stack.pop()

    def _step(self, name: str, argument: object) -> None:
        if name in PLAIN_VALUES:
            self._stack.append(argument)
        elif name in CONSTANTS:
            self._stack.append(CONSTANTS[name])
        elif name in self._ACTIONS:
            self._ACTIONS[name](self, argument)
        elif name not in ("PROTO", "STOP"):
            raise errors.ModelInvalid(
                f"The pickle has the instruction {name}, which is not allowed. {INSTEAD}"
            )

    def _pop(self) -> object:
        if self._marks and self._marks[-1] >= len(self._stack):
            raise errors.ModelInvalid("A pickle in the file is damaged.")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[object]:
        mark = self._marks.pop()
        items = self._stack[mark:]
        del self._stack[mark:]
        return items

    def _mark(self, _argument: object) -> None:
        self._marks.append(len(self._stack))

    def _tuple(self, _argument: object) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _tuple_of(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def _append(self, _argument: object) -> None:
        self._extend_list([self._pop()])

    def _appends(self, _argument: object) -> None:
        self._extend_list(self._pop_to_mark())

    def _extend_list(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise errors.ModelInvalid("The pickle appends to something that is not a list.")
        target.extend(items)

    def _set_item(self, _argument: object) -> None:
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def _set_items(self, _argument: object) -> None:
        self._update(self._pop_to_mark())

    def _update(self, items: list[object]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise errors.ModelInvalid("The pickle sets items of something that is not a dictionary.")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise errors.ModelInvalid("The pickle has a dictionary key that is not a text.")
            target[key] = value

    def _get(self, argument: object) -> None:
        if argument not in self._memo:
            raise errors.ModelInvalid("A pickle in the file is damaged.")
        self._stack.append(self._memo[int(str(argument))])

    def _put(self, argument: object) -> None:
        self._memo[int(str(argument))] = self._stack[-1]

    def _global(self, argument: object) -> None:
        if argument not in self._names:
            raise errors.ModelInvalid(
                f"The pickle asks for {errors.excerpt(argument)!r}, which is not allowed. {INSTEAD}"
            )
        self._stack.append(self._names[str(argument)])

    def _call(self, _argument: object) -> None:
        arguments, function = self._pop(), self._pop()
        if not callable(function) or not isinstance(arguments, tuple):
            raise errors.ModelInvalid("The pickle calls something that is not a function.")
        self._stack.append(function(*arguments))

    def _build(self, _argument: object) -> None:
        self._pop()  # attributes of a dictionary, such as PyTorch's _metadata: nobody reads them

    def _persistent(self, _argument: object) -> None:
        identity = self._pop()
        if not isinstance(identity, tuple):
            raise errors.ModelInvalid("The pickle has a persistent id that is not a tuple.")
        self._stack.append(self._resolve(identity))

    _ACTIONS: ClassVar[Mapping[str, Callable[[PickleReader, object], None]]] = {
        "MARK": _mark,
        "TUPLE": _tuple,
        "TUPLE1": lambda self, _: self._tuple_of(1),
        "TUPLE2": lambda self, _: self._tuple_of(2),
        "TUPLE3": lambda self, _: self._tuple_of(3),
        "EMPTY_LIST": lambda self, _: self._stack.append([]),
        "EMPTY_DICT": lambda self, _: self._stack.append({}),
        "APPEND": _append,
        "APPENDS": _appends,
        "SETITEM": _set_item,
        "SETITEMS": _set_items,
        "BINGET": _get,
        "LONG_BINGET": _get,
        "BINPUT": _put,
        "LONG_BINPUT": _put,
        "GLOBAL": _global,
        "REDUCE": _call,
        "BUILD": _build,
        "BINPERSID": _persistent,
    }
