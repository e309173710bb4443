"""Submissions that are nearly the same text, or nearly the library's: for a person to look at, never a verdict.

Only a learner's own lines are compared, without comments and spacing: once as they are written, once with the names
that the learner chose made equal. No library is imported here but NumPy and RapidFuzz (inside), and no points come in.

The bounds were chosen on simulated classes whose members answered ps1_rnn independently of each other, each from the
habits that people have (`tests/grading/test_report.py` makes such classes). `CHANCE` is what was counted there.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from autograder.ingest import is_run, is_solution

AS_WRITTEN = 0.95  # this alike with its names
RENAMED = 0.98  # this alike without them: here chance is nearer, so the bound is higher
CHANCE = 1 / 10_000  # of the pairs of independent right answers, the share that these bounds flag all the same
LEAST = 50  # tokens: shorter texts are alike by nature and are not compared
LIBRARY = 0.8  # a function this alike, names and all, to one of rnnlib's
LEAST_FUNCTION = 40  # tokens

TOKEN = re.compile(
    r"""\#[^\n]* | (?P<quotes>\"{3}|'{3})[\s\S]*?(?P=quotes) | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
    | [^\W\d]\w* | \d[\w.]* | \S""",
    re.VERBOSE,
)
NOT_CHOSEN = {*dir(builtins), *keyword.kwlist, "np"}  # names that everybody writes alike


@dataclass(frozen=True)
class Own:
    """What is a learner's own in a submission.

    Attributes:
        student: whose it is.
        code, answer: programs and written answers, without the handout's lines.
        cells: the cells that hold the programs, whole.
    """

    student: str
    code: str
    answer: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Likeness:
    """How alike two programs are, from 0 to 1: as they are written, and with chosen names made equal."""

    as_written: float
    renamed: float


@dataclass(frozen=True)
class Pair(Likeness):
    """Two texts by their places."""

    first: int
    second: int


def own_text(student: str, notebook: dict[str, Any], released: dict[str, Any]) -> Own:
    """Take from a graded notebook what its learner wrote.

    Args:
        student: whose it is.
        notebook, released: the graded notebook and the handout, as JSON, every source one string.
    """
    known = {line.strip() for cell in released["cells"] for line in cell["source"].splitlines()}
    code, answer, cells = [], [], []
    for cell in notebook["cells"]:
        lines = [line.rstrip() for line in cell["source"].splitlines() if line.strip() not in known]
        if cell["cell_type"] == "markdown":
            answer += lines if is_solution(cell) else []
        elif is_run(cell) and lines:
            code += lines
            cells.append(cell["source"])
    return Own(student, "\n".join(code), "\n".join(answer), tuple(cells))


class Alphabet:
    """Turns programs into strings of one character a token, as RapidFuzz compares them fastest."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def spell(self, text: str, names: bool = True) -> str:
        """A program without comments, documentation and spacing; without `names`, those its writer chose are equal.

        The text need not be a valid program.
        """
        spelt, before = [], ""
        for match in TOKEN.finditer(text):
            token = match[0]
            if token.startswith("#") or match["quotes"]:
                continue
            if token[0] in "\"'":
                token = "''"
            elif not names and token.isidentifier() and before != "." and token not in NOT_CHOSEN:
                token = "name"
            spelt.append(self._letter(token))
            before = token
        return "".join(spelt)

    def words(self, text: str) -> str:
        """A written answer, a character a word."""
        return "".join(self._letter(word) for word in re.findall(r"\w+", text.casefold()))

    def _letter(self, token: str) -> str:
        place = self._places.setdefault(token, len(self._places)) % 0xF0000
        return chr(place + 0x100 if place < 0xD000 else place + 0x2000)  # around the surrogates


def near_duplicates(texts: Sequence[str]) -> list[Pair]:
    """The pairs of programs that are more alike than chance explains, most alike first; of equal ones, neighbours.

    Args:
        texts: every learner's own code.
    """
    alphabet = Alphabet()
    written = [alphabet.spell(text) for text in texts]
    renamed = [alphabet.spell(text, names=False) for text in texts]
    long = [i for i, spelt in enumerate(written) if len(spelt) >= LEAST]
    found = {*_alike(written, long, AS_WRITTEN), *_alike(renamed, long, RENAMED)}
    pairs = [Pair(_ratio(written[i], written[j]), _ratio(renamed[i], renamed[j]), i, j) for i, j in found]
    return sorted(pairs, key=lambda pair: (-pair.as_written, -pair.renamed, pair.first, pair.second))


def compared(first: str, second: str) -> Likeness:
    """How alike two programs are."""
    alphabet = Alphabet()
    written = [alphabet.spell(text) for text in (first, second)]
    renamed = [alphabet.spell(text, names=False) for text in (first, second)]
    return Likeness(_ratio(*written), _ratio(*renamed))


def same_answers(texts: Sequence[str]) -> list[Pair]:
    """The pairs of written answers of 20 words and more that are nearly the same words."""
    alphabet = Alphabet()
    spelt = [alphabet.words(text) for text in texts]
    found = set(_alike(spelt, [i for i, words in enumerate(spelt) if len(words) >= 20], 0.9))
    pairs = [Pair(_ratio(spelt[i], spelt[j]), 0.0, i, j) for i, j in found]
    return sorted(pairs, key=lambda pair: (-pair.as_written, pair.first, pair.second))


def grouped(pairs: Iterable[Pair]) -> list[list[int]]:
    """Who hangs together through pairs, each group in order; the order of the groups is that of the pairs."""
    leader: dict[int, int] = {}

    def find(i: int) -> int:
        while leader.setdefault(i, i) != i:
            leader[i] = i = leader[leader[i]]
        return i

    for pair in pairs:
        leader[find(pair.second)] = find(pair.first)
    groups: dict[int, list[int]] = {}
    for i in list(leader):
        groups.setdefault(find(i), []).append(i)
    return [sorted(group) for group in groups.values()]


def _ratio(first: str, second: str) -> float:
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(first, second)


def _alike(spelt: Sequence[str], places: Sequence[int], least: float) -> Iterator[tuple[int, int]]:
    """The pairs of places whose strings are alike to `least`; equal strings stand for one another.

    Two strings that are alike hold nearly the same tokens, however ordered: only pairs that pass this bound, which
    loses none, are compared by RapidFuzz.
    """
    same: dict[str, list[int]] = {}
    for i in places:
        same.setdefault(spelt[i], []).append(i)
    for equal in same.values():
        yield from pairwise(equal)
    strings = sorted(same, key=len)
    if len(strings) < 2:
        return
    counts, lengths = _counts(strings), np.array([len(string) for string in strings])
    for i, string in enumerate(strings):
        longest = int(lengths[i] * (2 - least) / least)
        until = int(np.searchsorted(lengths, longest, side="right"))
        apart = np.abs(counts[i + 1 : until] - counts[i]).sum(axis=1, dtype=np.int64)
        near = np.flatnonzero(apart <= (1 - least) * (lengths[i] + lengths[i + 1 : until]) + 1e-9) + i + 1
        for j in near:
            if _ratio(string, strings[j]) >= least:
                first, second = same[string][0], same[strings[j]][0]
                yield min(first, second), max(first, second)


def _counts(strings: Sequence[str]) -> np.ndarray:
    """How often each string holds each token, (strings, columns); tokens that share a column only weaken the bound."""
    columns = 64
    counts = np.zeros((len(strings), columns), dtype=np.int16)
    for row, string in zip(counts, strings, strict=True):
        letters = np.frombuffer(string.encode("utf-32-le"), dtype=np.uint32) % columns
        row += np.bincount(letters, minlength=columns).astype(np.int16)
    return counts


@dataclass(frozen=True)
class Borrowed:
    """A learner's function that is nearly one of rnnlib's: whose, how alike, and both texts."""

    place: int
    function: str
    as_written: float
    mine: str
    theirs: str


def like_the_library(programs: Sequence[Sequence[str]], library: Path) -> list[Borrowed]:
    """The programs with a function that is nearly one of the library's, the nearest function of each.

    Args:
        programs: every learner's cells.
        library: the folder of rnnlib.
    """
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    alphabet = Alphabet()
    theirs = {
        spelt: (where, body)
        for where, body in _functions_below(library)
        if len(spelt := alphabet.spell(body)) >= LEAST_FUNCTION
    }
    choices = list(theirs)
    found = []
    for place, cells in enumerate(programs):
        best = None
        for _, body in (function for cell in cells for function in _bodies(cell)):
            spelt = alphabet.spell(body)
            if len(spelt) < LEAST_FUNCTION:
                continue
            near = process.extractOne(spelt, choices, scorer=Indel.normalized_similarity, score_cutoff=LIBRARY)
            if near and (best is None or near[1] > best.as_written):
                best = Borrowed(place, theirs[near[0]][0], near[1], body, theirs[near[0]][1])
        if best:
            found.append(best)
    return sorted(found, key=lambda borrowed: (-borrowed.as_written, borrowed.place))


@lru_cache(maxsize=4)
def _functions_below(library: Path) -> tuple[tuple[str, str], ...]:
    """Where each function of a library stands, and its body."""
    return tuple(
        (f"{path.relative_to(library.parent)}: {name}", body)
        for path in sorted(library.rglob("*.py"))
        for name, body in _bodies(path.read_text(encoding="utf-8"))
    )


def _bodies(text: str) -> list[tuple[str, str]]:
    """The functions of a program without documentation and annotations; of what is no program, the text as a whole."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [("", text)]
    bodies = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            bodies.append((node.name, "\n".join(ast.unparse(statement) for statement in body)))
    return bodies or [("", text)]
