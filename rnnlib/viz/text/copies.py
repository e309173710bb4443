"""The explorer of lesson 14 about memory: which runs of a drawn text stand in the training text, letter by letter."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from rnnlib.data.vocabulary import Characters
from rnnlib.models import LanguageModel
from rnnlib.models.ngram import NGram
from rnnlib.studies.language import copied
from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark
from rnnlib.viz.text.page import COLUMNS, tiles

ROWS = 7
DRAWN = ROWS * COLUMNS
HUMAN = "the authors (unseen text)"


def explorer(writers: Mapping[str, LanguageModel | NGram], vocabulary: Characters, known: str, unseen: str) -> Explorer:
    """What is copied, and what is new?

    Args:
        writers: by name.
        vocabulary: of all.
        known: the text that they were trained on.
        unseen: a text by those who wrote the training text; it is shown beside.
    """

    @functools.lru_cache(maxsize=64)
    def written(who: str, temperature: float, seed: int) -> str:
        if who == HUMAN:
            at = seed * DRAWN % max(1, len(unseen) - DRAWN)
            return unseen[at : at + DRAWN]
        rng = np.random.default_rng(seed)
        return vocabulary.decode(writers[who].generate(vocabulary.encode("The "), DRAWN, rng, temperature=temperature))

    def draw(who: str, temperature: float, seed: int) -> Scene:
        texts = {name: written(name, temperature, seed) for name in (*writers, HUMAN)}
        return page(texts, who, known)

    return Explorer(
        draw,
        Choice("who", "written by", (*writers, HUMAN), next(iter(writers))),
        Slider("temperature", "temperature", 0.1, 1.5, 0.1, value=1.0),
        Slider("seed", "draw number", 0, 9, 1, value=0),
        title="What is copied?",
        description="The darker, the longer the run that stands in the training text as it is. Cool it down.",
    )


def page(texts: Mapping[str, str], who: str, known: str) -> Scene:
    """One text coloured by the runs that it copies, and how long those of every text are.

    Args:
        texts: by writer.
        who: whose is shown.
        known: the training text.
    """
    runs = {name: copied(text, known) for name, text in texts.items()}
    marks: list[Mark] = []
    for (name, lengths), color in zip(runs.items(), ("blue", "vermillion", "green"), strict=False):
        shares = 100 * (1 - np.arange(len(lengths)) / len(lengths))
        marks.append(Line(np.sort(np.maximum(lengths, 1)), shares, name, color))
    own = runs[who]
    marks.append(Dots([max(1.0, float(np.median(own)))], [50], color="ink", size=8))
    said = "; ".join(f"{name} median {np.median(each):.0f}, longest {each.max()}" for name, each in runs.items())
    return Scene(
        [
            tiles(
                texts[who], own.astype(float), 40.0,
                f"Longest copy {own.max()}, median {np.median(own):.0f} characters (orange: 40)", most=ROWS,
            ),
            Panel(
                marks, "How much stands in copies of at least this length", "length of the copy (characters)",
                "share of the text (%)", (1, 200), (0, 100), x_scale="log", height=240,
            ),
        ],
        alt=f"Runs that stand in the training text, in characters: {said}. Shown: {who}.",
    )  # fmt: skip
