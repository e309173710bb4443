"""The explorer of lesson 14 about training: what a model writes after so many updates, beside an n-gram model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark
from rnnlib.viz.text.page import plain

COLUMNS, ROWS = 50, 11


def explorer(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], rival_bits: float, rival_sample: str, order: int
) -> Explorer:
    """Samples while it trains.

    Args:
        runs: by name, the entries of a `rnnlib.studies.language.Diary`, in order.
        rival_bits: per character of unseen text, of the n-gram model.
        rival_sample: drawn from it.
        order: of the n-gram model.
    """
    longest = max(map(len, runs.values()))

    def draw(run: str, moment: int) -> Scene:
        return page(runs[run], moment, rival_bits, rival_sample, order)

    return Explorer(
        draw,
        Choice("run", "run", tuple(runs), next(iter(runs))),
        Slider("moment", "entry", 1, longest, 1, value=min(7, longest), steps_per_second=1),
        title="Samples while it trains",
        description="Play it. What comes first: spaces, letters, words, marks, or sense?",
    )


def page(entries: Sequence[Mapping[str, Any]], moment: int, rival_bits: float, rival_sample: str, order: int) -> Scene:
    """One entry: the losses up to it, its sample, and the n-gram model's.

    Args:
        entries: of a diary.
        moment: from 1; a diary that has fewer entries is drawn to its end.
        rival_bits, rival_sample, order: of the n-gram model.
    """
    moment = min(moment, len(entries))
    now = entries[moment - 1]
    updates = np.array([max(entry["update"], 1) for entry in entries], float)  # a log axis has no 0
    losses: list[Mark] = []
    for name, label, color in (("seen", "text it trains on", "sky"), ("unseen", "unseen text", "blue")):
        values = np.array([entry[name] for entry in entries])[:moment]
        losses.append(Line(updates[:moment], values, label, color))
        losses.append(Dots(updates[moment - 1 : moment], values[-1:], "", color, size=8))
    far = updates[-1] * 1.1
    losses.append(Line([1, far], [rival_bits] * 2, f"{order}-gram, unseen text", "vermillion", dashed=True))
    return Scene(
        [
            Panel(
                losses, f"After {now['update']:,} updates", "updates (1: none yet)", "bits per character",
                (1, far), (0, 7), x_scale="log", height=250,
            ),
            Panel(
                [Line([0, 0], [0, 0], color="grey"), *_bar(now["unseen"], rival_bits)],
                "Bits per character, unseen text", "bits", "", (0, 7), (-0.6, 1.6), y_names=("n-gram", "network"),
                height=250,
            ),
            plain(now["sample"], f"The network, after {now['update']:,} updates", most=ROWS, columns=COLUMNS),
            plain(rival_sample, f"The {order}-gram model", most=ROWS, columns=COLUMNS),
        ],
        alt=f"After {now['update']:,} updates the network needs {now['seen']:.2f} bits per character of text it trains "
        f"on and {now['unseen']:.2f} of unseen text; the {order}-gram model {rival_bits:.2f}. It writes: "
        f"{' '.join(now['sample'].split())[:120]}",
        columns=2,
    )  # fmt: skip


def _bar(network: float, rival: float) -> list[Mark]:
    return [
        Line([0, network], [1, 1], color="blue"), Dots([network], [1], color="blue", size=9),
        Line([0, rival], [0, 0], color="vermillion"), Dots([rival], [0], color="vermillion", size=9),
    ]  # fmt: skip
