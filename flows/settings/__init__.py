"""Settings: the inputs of each flow, and the workspace that it writes to.

Enter at `flows.settings.runs`.
May import `lstm.config` and the basics of `data`; neither pandas nor numba, so that help appears at once.
"""
