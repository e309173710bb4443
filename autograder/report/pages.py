"""What all pages share: templates, how they are written, and the only ways in which a learner's words reach one.

They reach it escaped, or as Markdown that nh3 has cleaned. A Content-Security-Policy in each template forbids
everything but the page's own style and its pictures.
"""

from __future__ import annotations

import math
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from urllib.parse import quote

import jinja2
import mistune
import nh3

TEMPLATES = Path(__file__).parents[1] / "templates"
HEADINGS = {f"h{level}" for level in range(1, 7)}


def render(template: str, **content: object) -> bytes:
    """A page as it is written to a file."""
    return _environment().get_template(template).render(**content).encode("utf-8", "replace")


def put(path: Path, content: bytes) -> None:
    """Write a file wholly or not at all. It can be made again, so nobody waits until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.writing")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def cleaned(markdown: str) -> str:
    """Markdown as HTML without pictures, scripts and styles; its headings become text, for the page has its own."""
    return nh3.clean(str(mistune.html(markdown)), tags=nh3.ALLOWED_TAGS - {"img"} - HEADINGS)


def printable(text: str) -> str:
    """Text for a terminal or a mail: no control character but the end of a line."""
    lines = text.split("\n")
    return "\n".join(
        line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line) for line in lines
    )


def lesson_link(read: str) -> str:
    """The address of the lesson that a diagnosis names, or nothing where it names none."""
    lesson = re.match(r"[\w-]+\.ipynb", read)
    return f"{_repository()}/blob/main/notebooks/{lesson[0]}" if lesson and _repository() else ""


@cache
def _repository() -> str:
    """The project's address, which pyproject.toml states."""
    try:
        urls = metadata("rnn-notebooks").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    return next((url.partition(", ")[2] for url in urls if url.startswith("Repository, ")), "")


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["link"] = lambda name: quote(name, safe="")
    environment.filters["points"] = lambda points: f"{points:g}"
    environment.filters["percent"] = lambda share: f"{math.floor(100 * share + 1e-9)} %"  # 100 % is all, not nearly all
    environment.filters["lesson_link"] = lesson_link
    environment.globals["css"] = (TEMPLATES / "page.css").read_text()
    return environment
