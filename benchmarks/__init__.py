"""Gatecast compared with its peers: the same work, in the same run, on the same machine, as ratios.

Run ``python -m benchmarks`` (``--quick`` ends within a minute, ``--list`` names the rows, ``--rows`` chooses among
them). It prints tables, and writes a JSON file and a bar chart; ``python -m benchmarks.readme`` puts the comparison
table of that JSON file into the README.

Each module of rows offers ``cases(plan)``; `benchmarks.__main__` lists them.
If a row's peer is not installed, Gatecast is still timed and the row says so.
"""
