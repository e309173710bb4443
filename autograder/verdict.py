"""A verdict and how it shows: as points to nbgrader, as a sentence in a terminal, as a card in a notebook."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class PartResult:
    """Points earned on one part, and why not all."""

    name: str
    points: float
    max_points: float
    reason: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What went wrong. `bugs` are the names of known mistakes, empty where none reproduces the answers."""

    bugs: tuple[str, ...]
    text: str
    read: str


@dataclass(frozen=True, repr=False)
class Verdict:
    """Points by part and one diagnosis.

    `repr` is the bare number of points, because nbgrader reads partial credit from a cell's text; a notebook shows
    the card, `print` the sentences.
    """

    question: str
    title: str
    parts: tuple[PartResult, ...]
    diagnosis: Diagnosis | None

    @property
    def points(self) -> float:
        """Points earned."""
        return float(sum(part.points for part in self.parts))

    @property
    def max_points(self) -> float:
        """The most that can be earned."""
        return float(sum(part.max_points for part in self.parts))

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "points": self.points, "max_points": self.max_points}

    def __repr__(self) -> str:
        return repr(self.points)

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.points:g} of {self.max_points:g} points"]
        lines += [f"  {_mark(part)} {part.name}: {part.points:g} of {part.max_points:g}" for part in self.parts]
        if self.diagnosis:
            lines.append(self.diagnosis.text)
            lines += [f"Read again: {self.diagnosis.read}"] if self.diagnosis.read else []
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return card(self)


def _mark(part: PartResult) -> str:
    return "✓" if part.points == part.max_points else "✗"


def card(verdict: Verdict) -> str:
    """The verdict as a small piece of HTML without script; every text in it is escaped."""
    right = verdict.points == verdict.max_points
    colour, headline = ("#0072B2", "Right") if right else ("#D55E00", "Not yet")
    parts = "".join(
        f'<li style="list-style:none">{_mark(part)} {escape(part.name)}: {part.points:g} of {part.max_points:g}</li>'
        for part in verdict.parts
    )
    said = verdict.diagnosis
    text = f'<p style="margin:.5em 0 0">{escape(said.text)}</p>' if said else ""
    read = f'<p style="margin:.5em 0 0">Read again: {escape(said.read)}</p>' if said and said.read else ""
    return (
        f'<div style="border-left:4px solid {colour};padding:.4em 1em;max-width:46em">'
        f"<strong>{headline}: {verdict.points:g} of {verdict.max_points:g} points</strong> · {escape(verdict.title)}"
        f'<ul style="margin:.5em 0 0;padding:0">{parts}</ul>{text}{read}</div>'
    )
