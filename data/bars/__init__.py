"""Bars: prices of a trading day or hour, their store in the workspace, splits and dividends, revisions.

Enter at `data.bars.store`.
May import `data.quality`, `data.dates` and `data.store`.
"""
