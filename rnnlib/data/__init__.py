"""Data for the lessons, and what turns data into batches: vocabularies, padding, scaling, splits.

What is fitted here (a vocabulary, a scaling) is fitted on training data only; what is random takes an explicit `rng`.
A dataset's own library is imported only when that dataset is asked for. No model and no loss comes in here.
"""
