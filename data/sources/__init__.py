"""Sources: files, folders, URLs and databases, read as bars or as series.

Enter at `data.sources.source`.
May import `data.bars`, `data.quality`, `data.dates` and `data.store`, and `data.yahoo` where Yahoo is asked for.
"""
