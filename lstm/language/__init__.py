"""Language models: a character or word model, its network, its writer, and the n-grams that it has to beat.

Enter at `lstm.language.char_lm`.
May import `lstm.training`, `lstm.nn`, `data.language` and `kernels`; nothing of forecasting or tagging.
"""
