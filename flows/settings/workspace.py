"""The workspace: the folder that holds everything a run writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gatecast.data.errors import InputError
from gatecast.data.leftovers import sweep
from gatecast.data.secrets import holds_secret

DATA_FOLDERS = ("bars", "texts", "tagged")
"""Those of the data that versions were trained on"""


@dataclass(frozen=True)
class Workspace:
    """The folder that holds everything a run writes.

    Attributes
    ----------
    root : Path
        Absolute path; its folders are made when something is written to them.
    """

    root: Path

    @classmethod
    def from_environment(cls) -> Workspace:
        """Return the workspace that ``GATECAST_HOME`` names, ``./workspace`` if it names none."""
        home = os.environ.get("GATECAST_HOME") or "workspace"
        if holds_secret(home):
            raise InputError(
                f"{home} cannot be the workspace, since it holds a secret; name a folder with --workspace."
            )
        root = Path(home).expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file, so it cannot be the workspace; name a folder with --workspace.")
        return cls(root)

    @property
    def bars(self) -> Path:
        """Folder of the data as it was read: one folder per content, one file per series."""
        return self.root / "bars"

    @property
    def quarantine(self) -> Path:
        """Folder of the rows that were refused, with what is wrong with them."""
        return self.root / "quarantine"

    @property
    def yahoo(self) -> Path:
        """Folder of yfinance's caches of cookies and time zones."""
        return self.root / "yahoo"

    @property
    def sequences(self) -> Path:
        """Folder of the scaled training sequences."""
        return self.root / "sequences"

    @property
    def texts(self) -> Path:
        """Folder of the texts that language models were trained on, one file per content."""
        return self.root / "texts"

    @property
    def models(self) -> Path:
        """Folder of the model versions and their champions."""
        return self.root / "models"

    @property
    def tagged(self) -> Path:
        """Folder of the tagged sentences that taggers were trained on, one folder per content."""
        return self.root / "tagged"

    @property
    def forecasts(self) -> Path:
        """Folder of the forecasts."""
        return self.root / "forecasts"

    @property
    def reports(self) -> Path:
        """Folder of the pictures and test predictions of each model's latest evaluation."""
        return self.root / "reports"

    @property
    def prefect(self) -> Path:
        """Folder of Prefect's database and results."""
        return self.root / "prefect"

    def stored(self, path: Path | str) -> str:
        """Return a path as files of the workspace name it: from its root, so that the workspace may be moved.

        Paths outside the workspace stay absolute.
        """
        path = Path(path)
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def found(self, stored: str) -> Path:
        """Return where the path is that a file of the workspace names.

        An earlier Gatecast wrote absolute paths. If the workspace has been moved or copied since, their part inside the
        workspace leads to what they named.
        """
        path = Path(stored)
        if not path.is_absolute():
            return self.root / path
        for place, part in reversed(list(enumerate(path.parts))):
            inside = Path(self.root, *path.parts[place:])
            if part in DATA_FOLDERS and part != path.name and inside.exists():
                return inside
        return path

    def tidy_up(self) -> None:
        """Remove the temporary files that killed processes left in these folders; those of living ones stay."""
        for folder in (
            self.bars, self.quarantine, self.sequences, self.texts, self.models, self.tagged, self.forecasts,
            self.reports, self.prefect,
        ):  # fmt: skip
            sweep(folder)
