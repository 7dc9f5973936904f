"""Quality: what has to hold of every row, and what is worth a look in rows that are valid.

Enter at `data.quality.validation`.
May import `data.dates` and `data.store`.
"""
