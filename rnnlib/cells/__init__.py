"""The mathematics of recurrent cells: one file per cell, all built alike, and nothing but NumPy.

Every cell file holds two pairs. `step_forward` and `step_backward` are the specification: one step, as the equations
stand, and what learners implement. `forward` and `backward` are the fast form over whole padded sequences; the tests
prove that they equal the scan of steps. `sequences` holds what all cells share: the checks at the door, and packing.
"""
