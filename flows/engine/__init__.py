"""Engine: Prefect as this project uses it, its server, safe runs, progress and the terminal.

Enter at `flows.engine.orchestration`.
May import `flows.settings`, `data` and `lstm`.
"""
