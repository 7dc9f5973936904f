"""How good forecasts are, beside other libraries and published figures, on public data.

Run ``python -m benchmarks.accuracy`` with the names of tasks (``--list`` shows them) and the folder of the data. Each
row is one system on one task: it is fitted on the rows before the test alone, and scored as the literature scores that
task (`benchmarks.accuracy.datasets` says how, and where from). Rows go to ``benchmarks/results/accuracy.json`` one by
one, and replace the older ones of their name there, so that a long table can be made in parts;
``python -m benchmarks.accuracy.readme`` puts it into the README.

`benchmarks.accuracy.systems` has what is compared, `benchmarks.accuracy.published` what others have reported.
"""
