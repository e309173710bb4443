"""A Rosetta stone: how rnnlib, torch, Keras and ONNX write the same cells, read off the converters themselves."""

from typing import NamedTuple

from rnnlib.torchref import keras_layers, onnx_models

LETTERS = {"keras": {"n": "h", "g": "c"}, "onnx": {"n": "h", "g": "c"}}  # the same gates, as these call them


class Row(NamedTuple):
    """One framework's conventions for one cell.

    Attributes:
        framework: rnnlib, torch.nn, Keras 3 or ONNX.
        cell: RNN, GRU or LSTM.
        called: the cell's name there.
        gates: the order of the blocks in a weight matrix, by rnnlib's letters.
        written: the same order in the framework's own letters.
        weights: shapes of the input and recurrent weights, G for the number of gates.
        biases: how many there are, and their shape.
        data: the layout of a batch, and how it says which steps are valid.
        padding: what the output holds after a sequence's last step.
        empty: the last state of a sequence of length 0.
        reset: for a GRU, where the reset gate can act.
    """

    framework: str
    cell: str
    called: str
    gates: str
    written: str
    weights: str
    biases: str
    data: str
    padding: str
    empty: str
    reset: str


def rosetta() -> list[Row]:
    """The table, cell by cell; ONNX as onnxruntime runs it."""
    rows = []
    for cell in ("RNN", "GRU", "LSTM"):
        gru = cell == "GRU"
        ours, keras, onnx = keras_layers.TORCH_GATES[cell], keras_layers.GATES[cell], onnx_models.GATES[cell]
        torchs = (cell, ours, ours, "(G*H, D), (G*H, H)", "two, (G*H,) each")
        rnnlibs_end = ("(T, N, D), lengths", "zero", "the initial one", "after (default) or before" if gru else "")
        torchs_end = ("(T, N, D), packed", "zero", "refused", "after" if gru else "")
        keras_start = (keras_layers.LAYERS[cell], keras, spelled(keras, "keras"), "(D, G*H), (H, G*H)")
        keras_biases = "after: two, (2, G*H); before: one, (G*H,)" if gru else "one, (G*H,)"
        keras_batch = ("(N, T, D), mask (N, T)", "the last output; in a Bidirectional, zero", "the initial one")
        keras_reset = "after (default) or before: reset_after" if gru else ""
        onnx_start = (cell, onnx, spelled(onnx, "onnx"), "(directions, G*H, D), (directions, G*H, H)")
        onnx_batch = ("(T, N, D), sequence_lens", "zero", "zero")
        onnx_reset = "after or before (default): linear_before_reset" if gru else ""
        rows += [
            Row("rnnlib", cell, *torchs, *rnnlibs_end),
            Row("torch.nn", cell, *torchs, *torchs_end),
            Row("Keras 3", cell, *keras_start, keras_biases, *keras_batch, keras_reset),
            Row("ONNX", cell, *onnx_start, "two in one, (directions, 2*G*H)", *onnx_batch, onnx_reset),
        ]
    return rows


def spelled(gates: str, framework: str) -> str:
    """Gates in a framework's own letters."""
    return "".join(LETTERS[framework].get(gate, gate) for gate in gates)


def rosetta_markdown() -> str:
    """The table as Markdown."""
    names = "framework", "cell", "called", "gates", "in its own letters", "weights", "biases", "batch"
    heads = (*names, "output on padding", "state after no step", "reset")
    lines = [heads, ("---",) * len(heads), *rosetta()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
