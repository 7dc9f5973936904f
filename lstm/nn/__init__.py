"""Layers: LSTM, attention, CRF, linear, embedding and what they need; each with its forward and backward pass.

Enter at `lstm.nn.recurrent`, the LSTM.
May import `kernels`; nothing of data, models or training.
"""
