"""One slip, and what becomes of it: a decoder that reads the truth beside one that reads itself (lesson 16)."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from rnnlib.models.seq2seq import EncoderDecoder
from rnnlib.studies.seq2seq import BOS, EOS, backwards
from rnnlib.viz import Box, Choice, Explorer, Heatmap, Label, Line, Panel, Scene, Slider, Text
from rnnlib.viz.scene import Mark

END = "◂"  # how EOS is drawn
LETTERS = 12  # of a word, at most


class Told(NamedTuple):
    """What a decoder read and wrote.

    Attributes:
        read: (T,) ids, the first of them BOS.
        written: (T,) ids.
        weights: (T, Ts), where it looked; zero without attention.
    """

    read: np.ndarray
    written: np.ndarray
    weights: np.ndarray


def told(model: EncoderDecoder, word: str, slip: int = 0, letter: int = 0, forced: bool = False) -> Told:
    """Write a word backwards, for as many steps as it should have.

    Args:
        model: of `rnnlib.studies.seq2seq`.
        word: letters a to z.
        slip: after this step the decoder is told that it had written another letter; 0: never.
        letter: which one, 0 to 25.
        forced: it reads the true letters before each step, except after the slip; otherwise its own.

    Raises:
        ValueError: as `backwards`.
    """
    source, lengths, target, _ = backwards([word])
    _, left = model.read(source, lengths)
    state, token = left.state, BOS
    read, written, rows = [], [], []
    for t, true in enumerate(target[:, 0]):
        logits, weights, state, _ = model.write(np.array([[token]]), None, state, left.memory)
        read.append(token)
        written.append(int(logits[0, 0].argmax()))
        rows.append(np.zeros(len(source)) if weights is None else weights[0, 0])
        token = letter if t + 1 == slip else int(true) if forced else written[-1]
    return Told(np.array(read), np.array(written), np.stack(rows))


def explorer(model: EncoderDecoder, word: str = "recurrent") -> Explorer:
    """A word that a reader types, and a slip where the reader wants it."""

    def draw(word: str, slip: int, letter: str) -> Scene:
        return at_slip(model, word, slip, letter)

    return Explorer(
        draw,
        Text("word", "a word", word, LETTERS),
        Slider("slip", "slip after step (0: none)", 0, LETTERS, 1, value=0),
        Choice("letter", "it is told that it wrote", tuple(ascii_lowercase), "q"),
        title="One slip, and then?",
        description="Orange letters are wrong. Put one false letter (blue) into what the decoder reads, early or late.",
    )


def at_slip(model: EncoderDecoder, word: str, slip: int, letter: str) -> Scene:
    """The same word twice, forced and free, with the same slip; and where both look.

    Args:
        model, word: as in `told`.
        slip: a step; beyond the last but one of the word there is none.
        letter: a to z.
    """
    target = backwards([word]).target[:, 0]
    slip = slip if slip < len(target) else 0
    ways = {
        name: told(model, word, slip, ascii_lowercase.index(letter), forced)
        for name, forced in (("reads the truth", True), ("reads itself", False))
    }
    wrong = {name: int((way.written != target).sum()) for name, way in ways.items()}
    panels = [_rows(ways, target, slip, wrong)]
    panels += [_map(word, way, f"It {name}: where it looks", slip) for name, way in ways.items()]
    where = f"with {letter} put in after step {slip}" if slip else "with no slip"
    said = "; ".join(f"the one that {name} writes {text(way.written)}" for name, way in ways.items())
    counted = ", ".join(f"{count} letters wrong where it {name}" for name, count in wrong.items())
    return Scene(panels, alt=f"{word} backwards, {where}: {said}; {counted}.")


def text(ids: Sequence[int] | np.ndarray) -> str:
    """Ids of a target as letters."""
    return "".join(symbol(int(i)) for i in ids)


def symbol(i: int) -> str:
    """One id of a target as it is drawn."""
    return {BOS: "▸", EOS: END}.get(i) or ascii_lowercase[i]


def _rows(ways: dict[str, Told], target: np.ndarray, slip: int, wrong: dict[str, int]) -> Panel:
    marks: list[Mark] = [Label(-0.8, 0, "should write", "grey", "right")]
    marks += [Box(t, 0, symbol(i), None, 0.9, 0.8, color="grey") for t, i in enumerate(target)]
    for k, (name, way) in enumerate(ways.items()):
        y = -1.6 - 2.6 * k
        marks += [Label(-0.8, y, f"{name}:", "ink", "right"), Label(-0.8, y - 1.0, "and writes", "ink", "right")]
        for t, (read, written) in enumerate(zip(way.read, way.written, strict=True)):
            given = slip > 0 and t == slip
            marks.append(Box(t, y, symbol(read), -0.5 if given else None, 0.9, 0.8, color="blue" if given else "grey"))
            shade = 0.8 if written != target[t] else None
            marks.append(Box(t, y - 1.0, symbol(written), shade, 0.9, 0.8))
    title = ", ".join(f"{count} wrong where it {name}" for name, count in wrong.items())
    return Panel(
        marks, title, axes=False, x_limits=(-4.0, LETTERS + 0.8), y_limits=(-5.8, 0.6), height=300,
    )  # fmt: skip


def _map(word: str, way: Told, title: str, slip: int) -> Panel:
    T, columns = way.weights.shape
    marks: list[Mark] = [Heatmap(way.weights, label="weight", limits=(0.0, 1.0))]
    if slip:
        marks.append(Line([-0.5, columns - 0.5], [slip - 0.5, slip - 0.5], color="blue", dashed=True))
    names = [symbol(i) for i in way.written]
    return Panel(
        marks, title, x_label="source (read)", y_label="written", x_names=list(word), y_names=names,
        height=90 + 18 * T,
    )  # fmt: skip
