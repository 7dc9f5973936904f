"""Forecasts of series: the forecaster and its network, backtests, baselines, metrics and drift.

Enter at `lstm.forecasting.forecaster`.
May import `lstm.training`, `lstm.nn`, `data` and `kernels`; nothing of language or tagging.
"""
