"""Taggers: a BiLSTM-CRF, its network and batches, and how predicted entities are scored.

Enter at `lstm.tagging.tagger`.
May import `lstm.training`, `lstm.nn`, `data.language` and `kernels`; nothing of forecasting or language.
"""
