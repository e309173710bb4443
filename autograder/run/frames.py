"""How the grader and the fork server speak: frames of one kind byte, a length and a payload, over two pipes.

JOB goes in; READY, DATA (a submission's own bytes, unread) and END (the warden's record) come out. A submission
holds neither pipe: whatever it writes can only ever arrive wrapped in DATA.
"""

from __future__ import annotations

import os
import struct

JOB, READY, DATA, END = b"J", b"R", b"D", b"E"
HEADER = struct.Struct(">cI")


def pack(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame."""
    return HEADER.pack(kind, len(payload)) + payload


def write(fd: int, data: bytes) -> None:
    """Write all of `data`, however long the other side takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def read(fd: int) -> tuple[bytes, bytes]:
    """Read one frame and not a byte more.

    Raises:
        EOFError: the other side has closed the pipe.
    """
    kind, size = HEADER.unpack(_read_exactly(fd, HEADER.size))
    return kind, _read_exactly(fd, size)


def _read_exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
