"""The pictures and the explorer of lesson 02 about tokens: what sequences are made of, and the ids of their parts."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.data import datasets
from rnnlib.data.batching import pad
from rnnlib.data.vocabulary import Characters, Subwords, Vocabulary, Words
from rnnlib.viz import Choice, Dots, Explorer, Heatmap, Label, Line, Panel, Scene, Slider, Text
from rnnlib.viz.scene import Box, Mark

LONGEST = 30  # characters of a text, so that an id fits above each
MERGES = 2000  # the most that the explorer offers
KINDS = ("characters", "words", "subwords")
COLORS = dict(zip(KINDS, ("blue", "vermillion", "green"), strict=True))
KNOWN, UNKNOWN = -0.3, 0.9  # shades of a box: light blue, dark orange


# ---- plots ---------------------------------------------------------------------------------------------------------


def gallery(
    text: str, celsius: np.ndarray, frames: np.ndarray, clicks: Mapping[str, Sequence[float]], bases: str
) -> Scene:
    """Five sequences from five worlds, each in its own form.

    Args:
        text: some characters.
        celsius: (T,), a measurement for each month.
        frames: (T, D), numbers of a frame of sound.
        clicks: for each page of a shop, the seconds at which it was opened.
        bases: letters of DNA.
    """
    pages, times = list(clicks), [(t, y) for y, name in enumerate(clicks) for t in clicks[name]]
    ordered = np.array(sorted(times), dtype=float)
    years = np.arange(len(celsius)) / 12
    return Scene(
        [
            _letters("Text: characters", text),
            _letters("DNA: four letters", bases),
            Panel([Line(years, celsius)], "A series: the sea off Peru", x_label="time (years)", y_label="°C",
                  height=200),
            Panel([Heatmap(frames.T, label="value")], "Sound: 12 numbers a frame", x_label="time (frames of 6.4 ms)",
                  y_label="coefficient", height=200),
            Panel([Line(ordered[:, 0], ordered[:, 1], color="grey"), Dots(ordered[:, 0], ordered[:, 1], size=9)],
                  "Clicks: events at any time", x_label="time (seconds)", y_names=pages,
                  y_limits=(-0.5, len(pages) - 0.5), height=200),
        ],
        alt=f"Five sequences: the text “{text}”, {len(celsius) // 12} years of monthly sea temperatures between "
        f"{celsius.min():.0f} and {celsius.max():.0f} °C, {len(frames)} frames of speech with {frames.shape[1]} "
        f"numbers each, {len(times)} clicks in a shop at uneven times, and the DNA {bases}.",
        columns=2,
    )  # fmt: skip


def _letters(title: str, text: str) -> Panel:
    """Symbols in a row, a box for each, numbered by their step."""
    marks: list[Mark] = [Box(t, 0, symbol.replace(" ", "␣"), width=0.9, height=0.9) for t, symbol in enumerate(text)]
    marks += [Label(t, -0.85, str(t + 1), "grey") for t in range(0, len(text), 5)]
    return Panel(marks, title, axes=False, x_limits=(-0.7, len(text) - 0.3), y_limits=(-1.4, 1.0), height=110)


def trade_off(points: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> Scene:
    """How long a text becomes, against the size of the vocabulary.

    Args:
        points: by kind, the sizes V and the tokens for 100 characters of a text that was not learned from.
    """
    marks: list[Mark] = []
    for name, (sizes, rates) in points.items():
        marks += [Label(size, rate - 8, f"{size:,}", "grey", "right") for size, rate in zip(sizes, rates, strict=True)]
        if len(sizes) > 1:
            marks.append(Line(sizes, rates, color=COLORS[name]))
        marks.append(Dots(sizes, rates, name, COLORS[name], size=9))
    spoken = [f"{name} {r[0]:.0f}" + (f" to {r[-1]:.0f}" if len(r) > 1 else "") for name, (_, r) in points.items()]
    panel = Panel(
        marks, x_label="vocabulary size V (tokens)", y_label="tokens for 100 characters", x_scale="log",
        x_limits=(70, 6000), y_limits=(0, 105), height=280,
    )  # fmt: skip
    return Scene([panel], alt=f"Tokens for 100 characters of new text: {', '.join(spoken)}, with a growing vocabulary.")


def saturation(stds: np.ndarray, apart: np.ndarray, flat: np.ndarray) -> Scene:
    """What the scale of an embedding does to a tanh unit.

    Args:
        stds: (n,), standard deviations of the embedding's entries.
        apart: (n,), how far the states of two tokens lie apart (root mean square over units).
        flat: (n,), the share of units whose slope 1 - h² is below 0.1.
    """
    return Scene(
        [
            Panel([Line(stds, apart, color="blue"), Dots(stds, apart, color="blue")], "Two tokens, told apart by",
                  x_label="standard deviation", y_label="difference of the states", x_scale="log", y_limits=(0, 1.5)),
            Panel([Line(stds, 100 * flat, color="vermillion"), Dots(stds, 100 * flat, color="vermillion")],
                  "Units that hardly learn", x_label="standard deviation", y_label="slope below 0.1 (%)",
                  x_scale="log", y_limits=(0, 100)),
        ],
        alt=f"For standard deviations from {stds[0]:g} to {stds[-1]:g}, the states of two tokens lie {apart[0]:.2g} to "
        f"{apart[-1]:.2g} apart, and {flat[0]:.0%} to {flat[-1]:.0%} of the units are on the flat ends of tanh.",
        columns=2,
    )  # fmt: skip


# ---- the explorer --------------------------------------------------------------------------------------------------


def explorer(text: str = "The tokeniser splits words.", other: str = "Unseen: snörkel!") -> Explorer:
    """A sentence that a reader types, as characters, words and subwords with their ids, and a batch of two."""
    return Explorer(
        seen,
        Text("text", "a sentence", text, max_length=LONGEST),
        Text("other", "another", other, max_length=LONGEST),
        Slider("merges", "BPE merges", 0, MERGES, 20, value=600, steps_per_second=8),
        Choice("kind", "the batch holds", KINDS, "words"),
        title="What does the network get to read?",
        description="Type words that Python's documentation has, and words it has not. Orange boxes are UNK. Then play "
        "the merges: frequent words grow together first.",
    )


def seen(text: str, other: str, merges: int, kind: str) -> Scene:
    """A text in three kinds of tokens, above the letters it came from, and a batch of two texts.

    Args:
        text, other: the two sentences of the batch; the first is also shown token by token.
        merges: how many of the learned BPE merges are used.
        kind: which tokens the batch holds.
    """
    rows = {name: vocabulary(name, merges if name == "subwords" else 0) for name in KINDS}
    marks: list[Mark] = []
    for y, (name, words) in enumerate(rows.items()):
        marks += [Label(-0.4, -1.25 * y, name, align="right"), *_row(words, text, -1.25 * y)]
    counted = {name: len(words.encode(text)) for name, words in rows.items()}
    unknown = {name: int((words.encode(text) == words.unk).sum()) for name, words in rows.items()}
    batch, told = _batch(rows[kind], kind, (text, other))
    return Scene(
        [
            Panel(marks, f"{', '.join(f'{n} {name}' for name, n in counted.items())} by {merges} merges", axes=False,
                  x_limits=(-6.0, LONGEST), y_limits=(-3.1, 0.6), height=200),
            batch,
        ],
        alt=f"“{text}” is {', '.join(f'{n} {name}' for name, n in counted.items())} ({merges} merges); unknown are "
        f"{', '.join(f'{n} {name}' for name, n in unknown.items())}. {told}",
    )  # fmt: skip


def spans(words: Vocabulary, text: str) -> list[tuple[int, float, float]]:
    """Where each token of a text stands in it: id, start and end, in characters.

    A token that is some bytes of a character, as in byte-level BPE, has its share of that character.
    """
    if isinstance(words, Words):
        found, at = [], 0
        for token, i in zip(words.split(text), words.encode(text).tolist(), strict=True):
            at = text.index(token, at)
            found.append((i, float(at), float(at + len(token))))
            at += len(token)
        return found
    if isinstance(words, Characters):
        return [(i, float(at), at + 1.0) for at, i in enumerate(words.encode(text).tolist())]
    sizes = [len(symbol.encode()) for symbol in text]
    edges = [at + byte / size for at, size in enumerate(sizes) for byte in range(size)] + [float(len(text))]
    ids = words.encode(text).tolist()
    ends = np.cumsum([0] + [len(words.tokens[i]) for i in ids])  # in `tokens` each byte is one character
    return [(i, edges[start], edges[stop]) for i, start, stop in zip(ids, ends, ends[1:], strict=False)]


def _row(words: Vocabulary, text: str, y: float) -> list[Mark]:
    """The tokens of a text as boxes as wide as their characters, each with its id."""
    marks: list[Mark] = []
    for i, start, stop in spans(words, text):
        whole = start == int(start) and stop == int(stop)
        symbol = text[int(start) : int(stop)].replace(" ", "␣") if whole else "·"
        unknown = i == words.unk
        shade, color = (UNKNOWN, "vermillion") if unknown else (KNOWN, "grey")
        marks.append(Box((start + stop) / 2, y, f"{symbol}\n{i}", shade, 0.94 * (stop - start), 1.0, color=color))
    return marks


def _batch(words: Vocabulary, kind: str, texts: Sequence[str]) -> tuple[Panel, str]:
    """Two texts as one batch of ids, padded at the end; and the same in a sentence."""
    encoded = [words.encode(text) for text in texts]
    if not any(map(len, encoded)):
        note = "Two empty texts make no batch."
        return Panel([Label(0, 0, note)], axes=False, x_limits=(-1, 1), y_limits=(-1, 1), height=150), note
    ids, lengths = pad(encoded)
    marks: list[Mark] = []
    for n, length in enumerate(lengths.tolist()):
        marks.append(Label(-0.7, -1.1 * n, f"length {length}", align="right"))
        for t, i in enumerate(ids[:, n].tolist()):
            said, color = str(i), "grey"
            shade: float | None = KNOWN
            if t >= length:
                said, shade = f"PAD\n{i}", None
            elif i == words.unk:
                said, shade, color = f"UNK\n{i}", UNKNOWN, "vermillion"
            marks.append(Box(t, -1.1 * n, said, shade, 0.92, 0.95, color=color))
    wasted = int(ids.size - lengths.sum())
    told = f"As {kind} the batch is {len(ids)} steps long; {wasted} of {ids.size} positions are PAD."
    steps = max(len(ids), 8)
    return Panel(marks, told, axes=False, x_limits=(-0.25 * steps, steps - 0.4), y_limits=(-1.8, 0.7), height=150), told


@functools.lru_cache(maxsize=128)
def vocabulary(kind: str, merges: int = 0) -> Vocabulary:
    """A vocabulary of Python's documentation: characters, words that occur twice, or BPE with its first merges."""
    if kind == "characters":
        return Characters.build(_text())
    if kind == "words":
        return Words.build(_text(), min_count=2)
    return _subwords().first(merges)


@functools.cache
def _text() -> str:
    return datasets.load("python_documentation")[:120_000]


@functools.cache
def _subwords() -> Subwords:
    return Subwords.build(_text(), max_size=258 + MERGES)
