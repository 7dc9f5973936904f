"""Judging: scores, baselines, the promotion gate, comparisons, and the checks of the monitor.

Enter at `flows.judging.evaluation`.
May import `flows.registry`, `flows.engine`, `flows.settings`, `data` and `lstm`.
"""
