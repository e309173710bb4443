"""Which code decided a score: the rooms that a submission passes, and not those that only show or carry results."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
STEPS = ("ask", "diagnose", "follow", "ingest", "judge", "pipeline", "question", "scored", "verdict", "wire")
LIBRARY = PACKAGE.parent / "rnnlib"
ROOMS = (PACKAGE / "questions", PACKAGE / "run", LIBRARY, *(LIBRARY / room for room in ("cells", "data", "models")))


@cache
def code_version() -> str:
    """A name that changes when this code does."""
    files = [PACKAGE / f"{step}.py" for step in STEPS]
    files += [path for room in ROOMS for path in sorted(room.glob("*.py"))]
    return hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()
