"""What is asked of every explorer: that it draws wherever its controls can be put."""

import numpy as np

from rnnlib.viz import Dots, Line


def every(explorer, most, **texts):
    """A picture for each value of each control, the others as at the start.

    Args:
        explorer: whose pictures.
        most: how many places of a slider.
        texts: for a text field, by its name, what is typed.
    """
    start = dict(explorer.values)
    for name, control in explorer.controls.items():
        values = texts.get(name, getattr(control, "options", None))
        if values is None and not hasattr(control, "minimum"):
            values = (False, True)
        if values is None:
            values = np.linspace(control.minimum, control.maximum, most).tolist()
            values = [control.read(type(control.value)(value)) for value in values]
        for value in values:
            yield explorer.set(**{**start, name: value})
    explorer.set(**start)


def check_drawn(scene, gaps=False):
    """Its text says something, and all lines and dots lie within their axes; where `gaps`, a NaN is none of them."""
    assert len(scene.alt) > 40
    assert "nan" not in scene.alt.lower()
    assert scene.to_wire()
    for panel in scene.panels:
        for mark in panel.marks:
            if isinstance(mark, Line | Dots):
                (left, right), (low, high) = panel.axis("x")["limits"], sorted(panel.axis("y")["limits"])
                seen = np.isfinite(mark.y) & np.isfinite(mark.x) if gaps else slice(None)
                assert np.all((mark.x[seen] >= left) & (mark.x[seen] <= right)), panel.title
                assert np.all((mark.y[seen] >= low) & (mark.y[seen] <= high)), panel.title
