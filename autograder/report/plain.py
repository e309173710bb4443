"""A student's feedback as plain text, for a mail or a terminal. The words are the page's; code stays on the page."""

from __future__ import annotations

import re
import textwrap
from html import unescape
from typing import Any

from autograder.report.pages import lesson_link, printable

WIDTH = 76


def letter(content: dict[str, Any], page: str) -> str:
    """The text.

    Args:
        content: what the page shows.
        page: the page's file name.
    """
    so_far = f" so far; still to be read by a person: {', '.join(content['waiting'])}" if content["waiting"] else ""
    lines = [
        f"{content['problem_set']}: feedback for {content['student']}",
        "",
        *_wrapped(f"{content['points']:g} of {content['max_points']:g} points{so_far}."),
    ]
    if content["late"]:
        lines += _wrapped(f"Handed in late: {content['late']:g} points are off.")
    if content["detail"]:
        lines += ["", *_wrapped(content["detail"])]
    for number, question in enumerate(content["questions"], 1):
        lines += ["", "", *_question(number, question)]
    lines += ["", "", *_wrapped(f"Your code and what it printed stand on the page, {page}.")]
    return printable("\n".join(lines)) + "\n"


def _question(number: int, question: dict[str, Any]) -> list[str]:
    points = "–" if question["points"] is None else f"{question['points']:g}"
    title = f"{number}. {question['title']}: {points} of {question['max_points']:g} points. {question['state']}."
    lines = [*_wrapped(title)]
    if question["by_hand"] is not None and question["machine"] is not None:
        lines += _wrapped(f"A person gave these points; the machine had given {question['machine']:g}.", 3)
    for part in question["parts"]:
        mark = "+" if part["points"] == part["max_points"] else "-"
        lines += _wrapped(f"{mark} {part['name']}: {part['points']:g} of {part['max_points']:g}", 3)
    if question["message"]:
        lines += ["", *_wrapped(question["message"], 3)]
    if question["read"]:
        link = lesson_link(question["read"])
        lines += ["", *_wrapped(f"Read again: {question['read']}", 3), *([f"   {link}"] if link else [])]
    for comment in question["comments"]:
        lines += ["", *_wrapped(f"Comment: {_untagged(comment)}", 3)]
    return lines


def _wrapped(text: str, indent: int = 0) -> list[str]:
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(
            paragraph,
            WIDTH,
            initial_indent=" " * indent,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _untagged(html: str) -> str:
    """The words of HTML that was cleaned before."""
    return unescape(re.sub(r"<[^>]*>", "", html)).strip()
