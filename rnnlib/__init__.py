"""Recurrent networks by hand, in NumPy.

Legend, for the whole library: T steps, N sequences, D inputs, H hidden units, V vocabulary, K layers.
Arrays are time-major: x is (T, N, D), hidden states are (T, N, H); `lengths` is (N,), how long each sequence is.
Parameters carry torch's names and layout: W_ih is (H, D), W_hh is (H, H), biases are (H,).

Importing rnnlib loads NumPy and nothing else: torch lives behind `rnnlib.torchref`, pictures behind `rnnlib.viz`.
"""
