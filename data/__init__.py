"""Data: everything that turns a source into training arrays.

Enter at `data.sources.source` (reading) and `data.sequences.sequences` (training arrays).
Imports none of our other packages. Inside: sources, sequences, bars, quality, dates. Each may import those after it,
and all of them may import `data.store`.
"""
