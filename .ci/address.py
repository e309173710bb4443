"""Hold every badge and install cell to the repository's address, which stands in pyproject.toml alone.

python .ci/address.py           say where another address stands; exit 1 if anywhere
python .ci/address.py --write   write the right one there
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Launches and installs name the repository as owner/name behind one of these.
PLACES = re.compile(
    r"(mybinder\.org/v2/gh/|colab\.research\.google\.com/github/|git\+https://github\.com/)([\w.-]+/[\w.-]+?)(?=[/\"\\)\s]|\.git|$)"
)


def repository() -> str:
    """owner/name, from pyproject.toml."""
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    return address.removeprefix("https://github.com/")


def files() -> Iterator[Path]:
    """Every file that launches or installs from the repository."""
    yield ROOT / "README.md"
    for folder in ("notebooks", "autograder/course/source", "autograder/course/release"):
        yield from sorted((ROOT / folder).rglob("*.ipynb"))


def strays(text: str) -> list[str]:
    """The other repositories that a text launches or installs from."""
    return [match[2] for match in PLACES.finditer(text) if match[2] != repository()]


def main() -> int:
    """Check, or with --write correct, every file."""
    found = {path: strays(path.read_text()) for path in files()}
    for path, others in found.items():
        if others and "--write" in sys.argv:
            path.write_text(PLACES.sub(lambda match: match[1] + repository(), path.read_text()))
        elif others:
            print(f"{path.relative_to(ROOT)}: {', '.join(sorted(set(others)))} instead of {repository()}")
    return int(any(found.values()) and "--write" not in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
