"""Sequences: features and targets, scaling, splits, and an index of windows, in memory and on disk.

Enter at `data.sequences.sequences`.
May import `data.bars`, `data.quality`, `data.dates` and `data.store`.
"""
