"""Gatecast beside its peers: the same work, in the same run, on the same machine, as ratios.

Run ``python -m benchmarks`` (``--quick`` ends within a minute, ``--list`` names the rows, ``--rows`` chooses among
them). It prints tables, and writes a JSON file and a bar chart; ``python -m benchmarks.readme`` puts the comparison
table of that JSON file into the README.

Each module of rows offers ``cases(plan)``; `benchmarks.__main__` lists them.
A row whose peer is not installed still times Gatecast, and says so.
"""
