"""How inputs enter the sandbox and answers leave it: JSON and raw little-endian numbers, nothing that can execute.

This file and `ask.py` run on both sides, so they import NumPy and the standard library only. Decoding is the
trusted side's door: whatever a submission emits, it yields numbers, a named refusal, or `WireError`.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

MIME = "application/vnd.rnn-notebooks.answers+json"
MAX_BYTES = 8 << 20  # of one array
MAX_ITEMS = 100_000  # in nested lists and tuples, all together
DTYPES = ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16")
LAYOUTS = ("C", "F", "strided")


class WireError(ValueError):
    """A message that is not one of ours: forged, cut off or damaged."""


class Refused:
    """Stands for a value that is not numbers; `type_name` says what the learner's function returned."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"Refused({self.type_name!r})"


def encode(value: Any, layout: str = "C") -> dict[str, Any]:
    """Turn what a function takes or returns into plain JSON.

    Args:
        value: None, a number, an array, or a list or tuple of these.
        layout: how `decode` shall lay an array out in memory: "C", "F" or "strided" (every second element of a
            larger buffer), so that a solution meets more than comfortable arrays.

    Returns:
        A dict with "kind": "array", "tuple", "none", or "other" with the name of the type that is not numbers.
    """
    return _encode(value, layout, [MAX_ITEMS])


def _encode(value: Any, layout: str, items_left: list[int]) -> dict[str, Any]:
    if value is None:
        return {"kind": "none"}
    if isinstance(value, (list, tuple)):
        items_left[0] -= len(value)
        if items_left[0] < 0:
            return {"kind": "other", "type": f"{type(value).__name__} with more than {MAX_ITEMS} items"}
        return {"kind": "tuple", "items": [_encode(item, layout, items_left) for item in value]}
    if not isinstance(value, (bool, int, float, complex, np.ndarray, np.generic)):
        return {"kind": "other", "type": type(value).__name__[:100]}
    try:
        array = np.array(value, copy=True, subok=False)
    except (TypeError, ValueError, OverflowError):
        return {"kind": "other", "type": type(value).__name__[:100]}
    if array.dtype == np.longdouble:
        array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("<"))
    if array.dtype.str not in DTYPES:
        return {"kind": "other", "type": f"array of dtype {array.dtype}"[:100]}
    if array.nbytes > MAX_BYTES:
        return {"kind": "other", "type": f"array of shape {array.shape}, larger than {MAX_BYTES >> 20} MiB"}
    data = base64.b64encode(array.tobytes()).decode("ascii")
    return {"kind": "array", "dtype": array.dtype.str, "shape": list(array.shape), "data": data, "layout": layout}


def decode(message: Any, depth: int = 8) -> Any:
    """Turn JSON back into None, arrays, tuples of these, or `Refused`.

    Raises:
        WireError: the message is not what `encode` makes; nothing in it was executed.
    """
    if not isinstance(message, dict) or depth == 0:
        raise WireError(f"expected an encoded value, got {type(message).__name__} or nesting deeper than 8")
    kind = message.get("kind")
    if kind == "none":
        return None
    if kind == "other" and isinstance(message.get("type"), str):
        return Refused(message["type"][:100])
    if kind == "tuple" and isinstance(message.get("items"), list) and len(message["items"]) <= MAX_ITEMS:
        return tuple(decode(item, depth - 1) for item in message["items"])
    if kind == "array":
        return _decode_array(message)
    raise WireError(f"unknown kind of value: {kind[:40]!r}" if isinstance(kind, str) else "a value without a kind")


def _decode_array(message: dict[str, Any]) -> np.ndarray:
    dtype, shape, data, layout = (message.get(key) for key in ("dtype", "shape", "data", "layout"))
    if dtype not in DTYPES or layout not in LAYOUTS or not isinstance(data, str) or not isinstance(shape, list):
        raise WireError("an array needs dtype, shape, layout and data, all of the kinds that encode() writes")
    if len(shape) > 32 or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
        raise WireError("an array's shape is a short list of sizes")
    itemsize = np.dtype(dtype).itemsize
    if math.prod(max(n, 1) for n in shape) * itemsize > MAX_BYTES or len(data) > 2 * MAX_BYTES:
        raise WireError(f"an array may hold {MAX_BYTES >> 20} MiB")
    try:
        array = np.frombuffer(base64.b64decode(data, validate=True), dtype).reshape(shape).copy()
    except ValueError as error:
        raise WireError("an array's data is not base64, or does not fill its shape") from error
    if array.ndim == 0 or layout == "C":
        return array
    if layout == "F":
        return np.asfortranarray(array)
    return np.repeat(array, 2, axis=-1)[..., ::2]
