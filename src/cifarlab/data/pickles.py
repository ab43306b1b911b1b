"""Read a batch of CIFAR-10's python version: a pickle, opened without letting it run anything.

A pickle is a program that may call any function it names. This reader knows the few instructions
and names that an array of whole numbers needs, and nothing else: what is outside the two lists ends
the reading before anything is imported or called
(https://docs.python.org/3/library/pickle.html#restricting-globals).
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab.errors import DataError

PIXELS = 3 * 32 * 32

_OPCODES = re.compile(
    "PROTO|FRAME|MARK|STOP|MEMOIZE|(LONG_)?(BIN)?(PUT|GET)|(STACK_)?GLOBAL|REDUCE|BUILD"
    "|NONE|NEWTRUE|NEWFALSE|INT|BININT[12]?|LONG1?"
    "|STRING|UNICODE|(SHORT_)?BIN(STRING|BYTES|UNICODE)|BINBYTES8|BINUNICODE8|BYTEARRAY8"
    "|(EMPTY_)?(DICT|LIST|TUPLE)|TUPLE[123]|SETITEMS?|APPENDS?"
)
_MAX_MEMO = 10**6  # a memo has a place for every index below the highest


def batch_records(content: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The batch as records of the binary version: one label byte, then 3,072 pixel bytes.

    Args:
        content: the pickle, uint8 (length,): a mapping with ``data``, uint8 (N, 3072), and
            ``labels``, N of 0 to 9. Keys may be text or bytes (Python 2 wrote the official files).
        name: what to call it in an error.

    Returns:
        uint8 (N, 3073).

    Raises:
        DataError: it is no such pickle, is damaged, or names something outside the allow-list.
    """
    batch = _mapping(content, name)
    data, labels = batch.get("data"), batch.get("labels")
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2:
        raise DataError(f"{name} has no uint8 array 'data'; it is not a CIFAR-10 batch")
    if data.shape[1] != PIXELS:
        raise DataError(f"{name} has {data.shape[1]} bytes an image; CIFAR-10 has {PIXELS}")
    if not isinstance(labels, list | tuple | np.ndarray) or len(labels) != len(data):
        raise DataError(f"{name} does not have one label for each of its {len(data)} images")
    column = np.array(labels, dtype=object).reshape(-1)
    if len(column) != len(data) or not all(
        isinstance(label, int | np.integer) and 0 <= label <= 9 for label in column
    ):
        raise DataError(f"{name} has labels other than 0 to 9; it is not a CIFAR-10 batch")
    return np.concatenate([column.astype(np.uint8)[:, None], data], axis=1)


def label_names(content: NDArray[np.uint8], name: str) -> list[str]:
    """The class names in ``batches.meta``, in label order; errors as in `batch_records`."""
    names = _mapping(content, name).get("label_names")
    if not isinstance(names, list | tuple):
        raise DataError(f"{name} has no list 'label_names'; it is not CIFAR-10's")
    return [_text(value) for value in names]


def _mapping(content: NDArray[np.uint8], name: str) -> dict[str, Any]:
    data = content.tobytes()
    try:
        _check_opcodes(data, name)
        value = _AllowList(io.BytesIO(data), name).load()
    except DataError:
        raise
    # A damaged pickle can raise nearly anything: each opcode fails in its own way.
    except Exception as error:
        raise DataError(
            f"{name} is damaged or no CIFAR-10 batch ({type(error).__name__}); "
            "delete it and fetch it again from its source"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{name} holds no mapping; it is not a CIFAR-10 batch")
    return {_text(key): item for key, item in value.items()}


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check_opcodes(data: bytes, name: str) -> None:
    """Refuse what builds objects of other kinds, and a memo index that would fill the memory."""
    for opcode, argument, _ in pickletools.genops(data):
        memo = int(argument or 0) if "PUT" in opcode.name else 0
        if not _OPCODES.fullmatch(opcode.name) or memo > _MAX_MEMO:
            raise DataError(
                f"{name} is refused: it holds the pickle instruction {opcode.name} "
                f"{str(argument)[:50]!r}, which no CIFAR-10 batch needs; do not trust it, fetch "
                "the data again from its source"
            )


class _AllowList(pickle.Unpickler):
    """An unpickler that looks names up in `_allowed` and imports nothing."""

    def __init__(self, file: io.BytesIO, name: str):
        super().__init__(file, encoding="bytes")
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        found = _allowed().get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise DataError(
                f"{self._name} is refused: it asks to run {f'{module}.{name}'!r}, which no "
                "CIFAR-10 batch needs; do not trust it, fetch the data again from its source"
            )
        return found


def _allowed() -> dict[tuple[str, str], Any]:
    """What a pickled array of whole numbers names, each replaced by the little that it needs.

    The functions are made afresh each time: a pickle can set attributes on what it is handed.
    """

    def reconstruct(subtype: Any, shape: Any, typecode: Any) -> NDArray[Any]:
        return np.empty(0, dtype=np.uint8)  # numpy fills it in by __setstate__

    def from_buffer(buffer: Any, dtype: np.dtype, shape: Any, order: str) -> NDArray[Any]:
        return np.frombuffer(_raw(buffer), dtype).reshape(shape, order="F" if order == "F" else "C")

    def scalar(dtype: np.dtype, content: Any) -> Any:
        return np.frombuffer(_raw(content), dtype)[0]

    def number_type(code: str | bytes, align: Any = False, copy: Any = True) -> np.dtype:
        dtype = np.dtype(_text(code), align=False, copy=True)
        if dtype.kind not in "biu":
            raise TypeError(f"no whole numbers: {dtype}")
        return dtype

    def encode(text: str, encoding: str) -> bytes:
        return text.encode("latin-1")  # how protocol 2 writes bytes

    return {
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,
        ("numpy.core.multiarray", "scalar"): scalar,
        ("numpy.core.numeric", "_frombuffer"): from_buffer,
        ("numpy", "ndarray"): "ndarray",  # only ever handed to reconstruct
        ("numpy", "dtype"): number_type,
        ("_codecs", "encode"): encode,
    }


def _raw(content: Any) -> bytes:
    """A copy of bytes; anything else is refused, for ``bytes(10**12)`` would be many."""
    if not isinstance(content, bytes | bytearray):
        raise TypeError(f"no bytes: {type(content).__name__}")
    return bytes(content)
