"""Flows: the scheduled work, Prefect's thin tasks around `lstm` and `data`, and the `gatecast` command.

Enter at `flows.retrain`, the main job.
May import everything; the only package that imports prefect. Inside: commands, flows, reporting, judging, registry,
engine, settings; each may import those after it.
"""
