"""The same retrain with neuralforecast's LSTM, without the logs and checkpoints that it makes by default.

Arguments: as for `retrain_gatecast`.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings

import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MSE
from neuralforecast.models import LSTM


def main() -> None:
    """Run the program; see the module."""
    path, threads, text = sys.argv[1:]
    settings = json.loads(text)
    torch.set_num_threads(int(threads))
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    frame = pd.read_parquet(path)
    model = LSTM(
        h=1,
        input_size=settings["lookback"],
        encoder_n_layers=1,
        encoder_hidden_size=settings["hidden_size"],
        decoder_layers=1,  # a linear head on the last hidden state
        loss=MSE(),
        max_steps=settings["steps"],
        learning_rate=1e-3,
        num_lr_decays=0,
        val_check_steps=settings["steps_per_epoch"],
        batch_size=1,  # series; the windows of a step are counted by the next line
        windows_batch_size=settings["batch_size"],
        scaler_type="identity",
        gradient_clip_val=1.0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    forecaster = NeuralForecast(models=[model], freq="D", local_scaler_type="standard")
    forecaster.fit(frame, val_size=settings["validation_rows"])
    y_hat = float(forecaster.predict()["LSTM"].iloc[0])
    print(json.dumps({"steps": len(forecaster.models[0].train_trajectories), "y_hat": y_hat}))


if __name__ == "__main__":
    main()
