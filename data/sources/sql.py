"""The rows that a query of a database returns, through SQLAlchemy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from gatecast.data.errors import InputError, SourceError
from gatecast.data.quality.validation import Checked
from gatecast.data.secrets import REFUSAL, holds_secret, masked
from gatecast.data.sources.columns import Columns
from gatecast.data.sources.selection import Selection, select
from gatecast.data.sources.tables import check_table
from gatecast.data.variables import is_variable, resolved, secrets_hidden

if TYPE_CHECKING:
    from sqlalchemy import URL


@dataclass(frozen=True)
class SqlSource:
    """The rows of a query: bars or series, columns as in a CSV file, in any order.

    Attributes
    ----------
    url : str
        SQLAlchemy's, such as ``sqlite:///sales.db`` or ``postgresql+psycopg://me:${PASSWORD}@host/db``, where
        ``PASSWORD`` is an environment variable; or ``$NAME``, a variable that holds all of it. Settings are stored as
        they are, so a password has to be in a variable.
    query : str
    columns : Columns
        What the columns are; what is not given is found out.
    """

    url: str
    query: str
    columns: Columns = field(default_factory=Columns)
    name: ClassVar[str] = "sql"

    @property
    def origin(self) -> str:
        """What errors begin with."""
        return f"The query on {self._shown(self._url())}"

    def read(self, selection: Selection) -> pd.DataFrame:
        """Return the selected bars or series."""
        return select(self.check().require(self.origin), selection, self.origin)

    def check(self) -> Checked:
        """Return all rows, good and refused.

        Raises
        ------
        InputError
            The URL, its driver or the query is wrong.
        SourceError
            The database does not answer.
        """
        with secrets_hidden(self.url):
            return check_table(self._fetch(), "sql", self.origin, columns=self.columns, in_order=False)

    def _fetch(self) -> pd.DataFrame:
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

        url = self._url()
        shown = self._shown(url)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
            raise InputError(f"{url.database} does not exist; check the path in {shown}.")
        try:
            engine = create_engine(url)
            with engine.connect() as connection:
                # A colon is the query's own, not the name of a parameter.
                result = connection.execute(text(self.query.replace(":", r"\:")))
                frame = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
            engine.dispose()
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise InputError(
                f"{shown} needs a driver that is not installed ({error}); for PostgreSQL: pip install "
                "'gatecast[postgres]'."
            ) from error
        except ArgumentError as error:
            raise InputError(f"{shown} is not a database URL ({error}); write it as sqlite:///FILE.") from error
        except OperationalError as error:
            if url.get_backend_name() == "sqlite":
                raise InputError(f"{self.origin} failed: {_first_line(error.orig)}; correct the query.") from error
            raise SourceError(f"{shown} does not answer: {_first_line(error.orig)}; try again later.") from error
        except (DBAPIError, SQLAlchemyError) as error:
            raise InputError(
                f"{self.origin} failed: {_first_line(getattr(error, 'orig', error))}; correct the query."
            ) from error
        return frame

    def _shown(self, url: URL) -> str:
        """Return the URL for people: as it was written or, of a variable, without its secrets."""
        return masked(url.render_as_string(hide_password=True)) if is_variable(self.url) else self.url

    def _url(self) -> URL:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        if holds_secret(self.url):
            raise InputError(f"The database URL {REFUSAL}.")
        try:
            url = make_url(resolved(self.url))
        except (ArgumentError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            given = f"What {self.url} holds" if is_variable(self.url) else f"{self.url!r}"
            raise InputError(f"{given} is not a database URL; write it as sqlite:///FILE.") from None
        if url.password and resolved(self.url) == self.url:
            raise InputError(f"The database URL {REFUSAL}.")
        return url


def _first_line(error: object) -> str:
    return (str(error).strip().split("\n")[0] or "no message").rstrip(".;")
