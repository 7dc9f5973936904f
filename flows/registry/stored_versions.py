"""What is stored of each version of a model, and how it is read.

``models/NAME/VERSION/`` is a checkpoint of `lstm` with ``evaluation.json`` and ``settings.json`` under its hashes and
``lineage.json`` next to them. A version is never changed. Its kind says how it is read (`flows.registry.kinds`). A
version that cannot be read is damaged, was written by another Gatecast, or is of an unexpected kind (`data.errors`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gatecast.data.errors import CheckpointError, DamagedError, DamagedFileError, FormatError, KindError
from gatecast.data.settings import first_problem
from gatecast.data.store import json_of
from gatecast.flows.registry.kinds import FORECASTER, Against, ModelKind, Rows, find_kind, load_model
from gatecast.flows.registry.lineages import LINEAGE, read_lineage
from gatecast.flows.registry.measures import Figure, Standing
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.training import checkpoint

T = TypeVar("T")
_LOGGER = logging.getLogger(__name__)
VERSION = re.compile(r"v(\d{4,})-([0-9a-f]{12})")


class StoredVersions:
    """The versions of one model, for reading.

    Parameters
    ----------
    workspace : Workspace
        Holds them, in ``models/NAME``.
    name : str
        Of the model.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self.directory = workspace.models / name

    def versions(self) -> list[str]:
        """Return the names of the versions, oldest first."""
        if not self.directory.is_dir():
            return []
        numbered = ((VERSION.fullmatch(path.name), path.name) for path in self.directory.iterdir() if path.is_dir())
        return [name for _, name in sorted((int(match[1]), name) for match, name in numbered if match)]

    def path(self, version: str) -> Path:
        """Return the folder of a version."""
        return self.directory / version

    def kind_of(self, version: str, required: ModelKind | None = None) -> ModelKind:
        """Return the kind of a version, which must be the required one, if any.

        Raises
        ------
        DamagedError, FormatError
            Its ``model.json`` is missing or changed, or was written by another Gatecast.
        KindError
            It is not the required kind.
        """
        path = self.path(version)
        with self._with_command():
            kind = find_kind(checkpoint.read_document(path)["kind"], path)
        if required is not None and kind is not required:
            raise KindError(f"{path} is a {kind.called}, not a {required.called}; choose another version.")
        return kind

    def model(self, version: str, kind: ModelKind | None = None) -> Any:
        """Load the model of a version, which must be of the required kind, if any.

        Raises
        ------
        DamagedError, FormatError, KindError
            See `data.errors`.
        """
        found = self.kind_of(version, kind)
        with self._with_command():
            return found.load(self.path(version))

    def refit_path(self, version: str) -> Path:
        """Return where the copy of a version is that has learnt all rows, if there is one; see `flows.refit`."""
        # Not named as the version is: that name tells what the bytes of its checkpoint are.
        return self.directory / "refits" / f"{version}-refit"

    def learnt_by_copy(self, version: str) -> str | None:
        """Return the last row that the copy of a version has learnt; None if it has no copy that can be read."""
        path = self.refit_path(version)
        if path.exists():
            with suppress(CheckpointError):
                return str(checkpoint.read_document(path)["boundaries"]["train_end"])
        return None

    def forecaster(self, version: str) -> tuple[Any, bool]:
        """Return what a forecaster's version forecasts with, and whether it is the copy that has learnt all rows.

        A copy that is damaged, or was written by another Gatecast, is as good as none, with a warning. A version that
        cannot be read is an error, also if its copy can.
        """
        model = self.model(version, FORECASTER)
        path = self.refit_path(version)
        if path.exists():
            try:
                return load_model(path), True
            except CheckpointError as error:
                _LOGGER.warning("%s Until the next retrain, %s forecasts itself.", error, version)
        return model, False

    def settings(self, version: str, kind: ModelKind | None = None) -> Any:
        """Return the settings that a version was trained with, of the class of its kind.

        Raises
        ------
        DamagedError, FormatError, KindError
            See `data.errors`.
        """
        own = self.kind_of(version, kind)
        values = self._extra_file(version, "settings.json")
        try:
            return own.settings(values)
        except ValueError as error:
            raise self._from_elsewhere(version, "settings.json", error) from error

    def evaluation(self, version: str) -> dict[str, Any]:
        """Return the scores of a version on the test data of its training.

        Raises
        ------
        DamagedError, FormatError
            See `data.errors`.
        """
        return self._extra_file(version, "evaluation.json")

    def figure(self, version: str) -> Figure:
        """Return the figure that a version is judged by, from its training.

        Raises
        ------
        DamagedError, FormatError
            See `data.errors`.
        """
        return self._told(version, lambda kind, evaluation: kind.figure(evaluation))

    def standing(self, version: str, against: Against = "best_baseline") -> Standing | None:
        """Return how a version stands against a baseline on its test data, None if that is not known.

        Raises
        ------
        DamagedError, FormatError
            See `data.errors`.
        """
        return self._told(version, lambda kind, evaluation: kind.standing(evaluation, against))

    def gain(self, version: str) -> str:
        """Return how much better than its baseline a version is, marked if it loses to it.

        Raises
        ------
        DamagedError, FormatError
            See `data.errors`.
        """

        def tell(kind: ModelKind, evaluation: dict[str, Any]) -> str:
            standing = kind.standing(evaluation)
            return f"{kind.figure(evaluation).gain}{', loses' if standing is not None and standing.loses else ''}"

        return self._told(version, tell)

    def scores(self, version: str) -> tuple[str, Rows, str]:
        """Return what a version was scored on, its scores as rows of a table, and the verdict in a sentence.

        Raises
        ------
        DamagedError, FormatError
            See `data.errors`.
        """
        return self._told(
            version,
            lambda kind, evaluation: (kind.test_data(evaluation), kind.scores(evaluation), evaluation["verdict"]),
        )

    def _told(self, version: str, tell: Callable[[ModelKind, dict[str, Any]], T]) -> T:
        kind = self.kind_of(version)
        evaluation = self.evaluation(version)
        try:
            return tell(kind, evaluation)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._from_elsewhere(version, "evaluation.json", error) from error

    def _extra_file(self, version: str, name: str) -> dict[str, Any]:
        with self._with_command():
            content = checkpoint.read_extra_file(self.path(version), name)
        try:
            values: dict[str, Any] = json_of(content, self.path(version) / name, dict[str, Any])
        except DamagedFileError as error:
            raise self._from_elsewhere(version, name, error) from error
        return values

    @contextmanager
    def _with_command(self) -> Iterator[None]:
        """Add to the error about a damaged version the command that chooses another one."""
        try:
            yield
        except DamagedError as error:
            another = f"or choose another version with 'gatecast models promote {self.name} VERSION'"
            raise DamagedError(f"{str(error).rstrip('.')}, {another}.") from error

    def _from_elsewhere(self, version: str, name: str, error: Exception) -> FormatError:
        """Return the error about an undamaged file that has a format of another Gatecast."""
        return FormatError(
            f"{self.path(version) / name} was written by an older or newer Gatecast, and this one cannot read it"
            f" ({_problem(error)}); use that Gatecast, or choose another version with 'gatecast models promote"
            f" {self.name} VERSION'."
        )

    def lineage(self, version: str) -> dict[str, Any]:
        """Return where a version comes from.

        Raises
        ------
        InputError
            ``lineage.json`` is missing or damaged.
        """
        return read_lineage(self.path(version) / LINEAGE)


def _problem(error: Exception) -> str:
    """Return in a few words what is wrong with settings or scores."""
    if isinstance(error, ValidationError):
        first = first_problem(error)
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"
