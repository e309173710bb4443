"""Pictures of gates: the LSTM and the GRU, one unit and whole races (lessons 07 and 08)."""
