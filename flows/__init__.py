"""Flows: Prefect around `lstm` and `data`, and the `gatecast` command. The only package that imports prefect.

Start reading at `flows.retrain`, the main job.
"""
