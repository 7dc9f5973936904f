"""The members of an ensemble: forecasters of one network each, trained side by side and kept in one checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from gatecast.data.sequences.sequences import Sequences
from gatecast.kernels.backend import get_backend, thread_count
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.training import epochs
from gatecast.lstm.training.checkpoint import Checkpoint
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.side_by_side import run_side_by_side

__all__ = ["fit_members", "member_checkpoint", "parts_of_members"]

_OWN = ("training", "total_steps", "step_variance")
"""What a member has of a checkpoint's document for itself"""


class Member(Protocol):
    """What is needed of a member, and of the ensemble; `lstm.forecasting.forecaster.Forecaster` is both."""

    settings: Any
    total_steps: int
    time_share: float

    @classmethod
    def from_settings(cls, settings: Any) -> Self:
        """Make a model from its settings."""

    @property
    def chosen(self) -> ForecasterSettings:
        """The settings without any ``auto``."""

    def fit_sequences(self, sequences: Sequences, *args: Any, **options: Any) -> Any:
        """Train."""

    def contents(self) -> Checkpoint:
        """Return what a checkpoint of it holds."""


Model = TypeVar("Model", bound=Member)


def fit_members(
    model: Model,
    sequences: Sequences,
    starts: Sequence[Member],
    checkpoints: Path | None,
    on_epoch: Callable[[EpochRecord], None] | None,
    options: Mapping[str, Any],
) -> tuple[Model, ...]:
    """Train a forecaster for each of `n_models` seeds, one on each core at a time.

    Parameters
    ----------
    model : Forecaster
        The ensemble, whose settings are chosen; its `total_steps` follow the member that ended an epoch last.
    sequences : Sequences
    starts : sequence of Forecaster
        Member k begins with the weights of number k of these, from the first again after the last; empty for none.
    checkpoints : Path, optional
        Each member has a folder in it.
    on_epoch : callable, optional
        Called in this thread with the record of each epoch of each member.
    options : mapping
        The others of `Forecaster.fit_sequences`.
    """
    count = model.settings.n_models
    chosen = model.chosen
    settings = [chosen.model_copy(update=_of_member(chosen.seed, number)) for number in range(count)]
    members = tuple(type(model).from_settings(each) for each in settings)
    # One GPU, or one thread, serves one member at a time.
    workers = min(count, thread_count()) if get_backend(chosen.backend).name == "cpu" else 1
    if checkpoints is not None and not options["resume"]:
        epochs.clear(checkpoints)

    def fit(number: int, tell: Callable[[EpochRecord], None]) -> None:
        """Train one member, which leaves its own checkpoints."""
        member = members[number]
        member.time_share = 1 / -(-count // workers)

        def after_epoch(record: EpochRecord) -> None:
            model.total_steps = member.total_steps
            tell(record)

        member.fit_sequences(
            sequences,
            checkpoints=None if checkpoints is None else epochs.member_path(checkpoints, number),
            on_epoch=after_epoch,
            start=starts[number % len(starts)] if starts else None,
            **options,
        )

    run_side_by_side([partial(fit, number) for number in range(count)], workers, on_epoch or (lambda record: None))
    return members


def parts_of_members(members: Sequence[Member]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return what the checkpoint of an ensemble keeps of the members after the first: its document, and arrays."""
    parts = [member.contents() for member in members[1:]]
    own = [{name: part.document[name] for name in _OWN} for part in parts]
    arrays = {
        f"{name}-{number}": part.arrays[name] for number, part in enumerate(parts, 1) for name in ("model", "optimizer")
    }
    return ({"members": own} if own else {}), arrays


def member_checkpoint(contents: Checkpoint, number: int) -> Checkpoint:
    """Return the checkpoint of an ensemble as that of one of its members alone.

    Raises
    ------
    KeyError, IndexError
        It does not hold that member.
    """
    document, arrays = contents.document, contents.arrays
    own = document["members"][number - 1] if number else document
    end = f"-{number}" if number else ""
    chosen = document["recipe"]["settings"]
    settings = {**chosen, **_of_member(chosen["seed"], number)}
    return Checkpoint(
        contents.kind,
        {
            **document,
            **{name: own[name] for name in _OWN},
            "settings": settings,
            "recipe": {**document["recipe"], "settings": settings},
        },
        {**arrays, "model": arrays[f"model{end}"], "optimizer": arrays[f"optimizer{end}"]},
    )


def _of_member(seed: int, number: int) -> dict[str, int]:
    """Return the settings in which a member differs from the ensemble."""
    return {"n_models": 1, "seed": seed + number}
