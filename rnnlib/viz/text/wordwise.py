"""The explorer of lesson 15 about reading: how the classes' probabilities move word by word, and what each word did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnnlib.losses import softmax
from rnnlib.viz import Choice, Explorer, Line, Panel, Scene, Slider, Text
from rnnlib.viz.scene import Box, Label, Mark

OWN = "what you type"
READING, WITHOUT = "as it reads", "leave one word out"
COLORS = ("blue", "vermillion", "green", "purple", "orange", "sky")
ACROSS = 7  # words of a row
STRONG = 2.0  # nats at which a colour ends

Logits = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (T, N) ids and (N,) lengths give (N, classes)


def explorer(
    texts: Mapping[str, str],
    readers: Mapping[str, Logits],
    encode: Callable[[str], np.ndarray],
    split: Callable[[str], list[str]],
    classes: Sequence[str],
    labelled: np.ndarray,
    typed: str,
) -> Explorer:
    """Which word says what?

    Args:
        texts: by name.
        readers: by name, the logits of classifiers that know one vocabulary.
        encode: gives a text's ids.
        split: gives its words, one for each id.
        classes: their names.
        labelled: (V,) of bool, which words stand in a sentence that had a label.
        typed: a text of the reader's own, at first.
    """

    def draw(which: str, typed: str, who: str, how: str, about: str, step: int) -> Scene:
        text = typed if which == OWN else texts[which]
        ids = encode(text)
        return page(split(text), ids, labelled[ids], readers[who], classes, how, about, step)

    return Explorer(
        draw,
        Choice("which", "sentence", (*texts, OWN), next(iter(texts))),
        Text("typed", OWN, typed, max_length=150),
        Choice("who", "read by", tuple(readers), next(iter(readers))),
        Choice("how", "a word's part", (READING, WITHOUT), READING),
        Choice("about", "speaks for", ("its answer", *classes), "its answer"),
        Slider("step", "words read", 1, 30, 1, value=4, steps_per_second=2),
        title="Which word says what?",
        description="Orange words speak for the area, blue ones against it. A grey edge: the word stood in no labelled "
        "sentence.",
    )


def prefixes(logits: Logits, ids: np.ndarray) -> np.ndarray:
    """What a classifier thinks after each word, (T + 1, classes) probabilities; row 0 is before the first.

    Args:
        logits: of a classifier.
        ids: (T,).
    """
    T = len(ids)
    batch = np.tile(np.append(ids, 0)[:, None], (1, T + 1))  # one step at least, even of no words
    return softmax(logits(batch, np.arange(T + 1)).astype(np.float64))


def without(logits: Logits, ids: np.ndarray) -> np.ndarray:
    """What it thinks of the text with one word left out, (T, classes) probabilities."""
    T = len(ids)
    kept = np.array([np.delete(ids, t) for t in range(T)]).T.reshape(T - 1, T) if T > 1 else np.zeros((1, T), int)
    return softmax(logits(kept, np.full(T, T - 1)).astype(np.float64))


def parts(logits: Logits, ids: np.ndarray, how: str, area: int) -> np.ndarray:
    """(T,) nats that each word adds to the log probability of an area: when it is read, or against leaving it out."""
    after = np.log(prefixes(logits, ids)[:, area])
    return np.diff(after) if how == READING else after[-1] - np.log(without(logits, ids)[:, area])


def page(
    words: Sequence[str],
    ids: np.ndarray,
    labelled: np.ndarray,
    logits: Logits,
    classes: Sequence[str],
    how: str,
    about: str,
    step: int,
) -> Scene:
    """The words, coloured by their part in it, over the probabilities after each of them.

    Args:
        words, ids: (T,) of the text.
        labelled: (T,) of bool, whether a labelled sentence had the word.
        logits: of a classifier.
        classes: their names.
        how: READING, where only the words up to the step have spoken, or WITHOUT.
        about: of the classes; anything else: the one that wins in the end.
        step: words read, from 1; beyond the text it is the last.
    """
    if not len(ids):
        nothing = Panel([Label(0, 0, "nothing is written")], axes=False, height=160)
        return Scene([nothing], alt="Nothing is written, so there is nothing to read.")
    step = min(step, len(ids))
    p = prefixes(logits, ids)
    best = int(p[-1].argmax())
    area = list(classes).index(about) if about in classes else best
    nats = parts(logits, ids, how, area)
    strongest = int(np.abs(nats[:step] if how == READING else nats).argmax())
    now = p[step] if how == READING else p[-1]
    says = ", ".join(f"{name} {share:.0%}" for name, share in zip(classes, now, strict=True))
    when = f"after {step} of {len(ids)} words" if how == READING else f"all {len(ids)} words"
    return Scene(
        [_tiles(words, labelled, nats, classes[area], how, step), _curves(p, classes, step, when)],
        alt=f"{when[0].upper()}{when[1:]}: {says}. The strongest word for or against {classes[area]} is "
        f"“{words[strongest]}” with {nats[strongest]:+.2f} nats.",
    )


def _tiles(words: Sequence[str], labelled: np.ndarray, nats: np.ndarray, area: str, how: str, step: int) -> Panel:
    marks: list[Mark] = []
    for t, (word, value) in enumerate(zip(words, nats, strict=True)):
        row, column = divmod(t, ACROSS)
        spoken = how == WITHOUT or t < step
        edge = "vermillion" if how == READING and t == step - 1 else "ink" if labelled[t] else "grey"
        text = f"{word}\n{round(float(value), 1) + 0:+.1f}" if spoken else word
        marks.append(Box(column, -row, text, float(value) if spoken else None, 0.96, 0.86, STRONG, edge))
    rows = -(-len(words) // ACROSS)
    does = "adds as it is read" if how == READING else "is worth, the others given"
    title = f"What each word {does}: nats of log p({area})"
    return Panel(
        marks, title, axes=False, x_limits=(-0.55, ACROSS - 0.45), y_limits=(0.55 - rows, 0.55), height=50 + 44 * rows
    )


def _curves(p: np.ndarray, classes: Sequence[str], step: int, when: str) -> Panel:
    read = np.arange(len(p))
    marks: list[Mark] = [Line([step, step], [0, 1], "", "grey", dashed=True)]
    marks += [Line(read, p[:, k], name, color) for k, (name, color) in enumerate(zip(classes, COLORS, strict=False))]
    return Panel(marks, f"What it thinks, {when}", "words read", "probability", (0, len(p) - 1), (0, 1), height=250)
