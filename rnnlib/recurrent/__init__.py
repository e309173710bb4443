"""Recurrent layers: thin objects that own parameters and send whole sequences through a cell, in depth and direction.

The mathematics stays in `rnnlib.cells`. A layer keeps nothing between calls but its parameters: `forward` returns a
cache, `backward` takes it and returns gradients. Optimisers, losses and data do not come in here.

    networks      RNN, GRU and LSTM: what each adds to
    stack         depth, direction, dropout between layers, carried state
    scan          the slow form, for what a cell's fast form does not know: layer norm, held masks, zoneout
    checkpoint    √T checkpointing: memory against time
"""

from rnnlib.recurrent.networks import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN"]
