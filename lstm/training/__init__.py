"""Training: epochs, early stopping, the optimiser, and checkpoints from which a training goes on to the bit.

Enter at `lstm.training.loop`; `lstm.training.model` has what the models have in common.
May import `lstm.nn`, `kernels`, and the files and errors of `data`.
"""
