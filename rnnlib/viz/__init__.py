"""Pictures of recurrent networks that change while you drag.

Python computes, with rnnlib; the browser, or matplotlib where there is no kernel, only draws. Whatever an explorer
shows is a plain function from the values of its controls to a `Scene`, so a test can call it:

    import numpy as np
    from rnnlib import viz

    def memory(w, steps):
        t = np.arange(steps + 1)
        left = w ** t
        panel = viz.Panel(
            [viz.Line(t, left, label="what is left of h_0"), viz.Dots(t, left)],
            title="A linear unit forgets", x_label="lag (steps)", y_label="∂h_t / ∂h_0", y_limits=(0, 1.5),
        )
        return viz.Scene([panel], alt=f"After {steps} steps, {left[-1]:.2g} of the first state is left.")

    viz.Explorer(memory, viz.Slider("w", "recurrent weight", 0.0, 1.2, 0.05, value=0.9),
                 viz.Slider("steps", "sequence length", 5, 60, 5, value=20, unit="steps"),
                 title="How long does a unit remember?", description="Find the weight that neither fades nor explodes.")

Controls    `Slider`, `Choice`, `Toggle`, `Text`; a Slider with `steps_per_second` also gets a play button.
Pictures    `Scene(panels, alt, columns)`, made of `Panel(marks, ...)`; a Scene alone shows itself as a PNG.
Marks       `Line`, `Band`, `Dots`, `Bars`, `Heatmap`, `Label`, and for diagrams `Box` and `Arrow`
            (`Arrow.between(box, box)`, in a `Panel(..., axes=False)`).
Colours     blue, vermillion, green, purple, sky, orange, ink, grey (colour-blind safe); left out, the next is taken.
            Signed numbers are blue below zero, white at zero, orange above.
In Python   `explorer.set(w=0.5)` redraws, and raises what `draw` raises; then `explorer.scene`, `.values`, `.error`.

Lessons and their explorers import from here; nothing in the mathematics of rnnlib may.
"""

try:
    import anywidget as _anywidget  # noqa: F401
except ImportError as error:
    raise ImportError('rnnlib.viz draws with anywidget and matplotlib: pip install "rnn-notebooks[lab]"') from error

from rnnlib.viz.explorer import Choice, Explorer, Slider, Text, Toggle
from rnnlib.viz.scene import Arrow, Band, Bars, Box, Dots, Heatmap, Label, Line, Panel, Scene

__all__ = [
    "Arrow",
    "Band",
    "Bars",
    "Box",
    "Choice",
    "Dots",
    "Explorer",
    "Heatmap",
    "Label",
    "Line",
    "Panel",
    "Scene",
    "Slider",
    "Text",
    "Toggle",
]
