"""Any table that a database and a query give, through SQLAlchemy."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from data.errors import InputError, SourceError
from data.selection import Selection, select
from data.tables import check_table
from data.validation import Checked

if TYPE_CHECKING:
    from sqlalchemy import URL

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")


@dataclass(frozen=True)
class SqlSource:
    """The rows of a query: bars or series, columns as in a CSV file, in any order.

    Attributes
    ----------
    url : str
        SQLAlchemy's, such as ``sqlite:///sales.db`` or ``postgresql+psycopg://host/db``; or ``$NAME``, the environment
        variable that holds it. Settings are stored as they are, so that a password has to stand in a variable.
    query : str
    """

    url: str
    query: str
    name: ClassVar[str] = "sql"

    @property
    def origin(self) -> str:
        """What errors begin with."""
        return f"The query on {self._url().render_as_string(hide_password=True)}"

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
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

        url = self._url()
        shown = url.render_as_string(hide_password=True)
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
                raise InputError(f"{self.origin} failed: {_first_line(error.orig)}; mend the query.") from error
            raise SourceError(f"{shown} does not answer: {_first_line(error.orig)}; try again later.") from error
        except (DBAPIError, SQLAlchemyError) as error:
            raise InputError(
                f"{self.origin} failed: {_first_line(getattr(error, 'orig', error))}; mend the query."
            ) from error
        return check_table(frame, "sql", self.origin, in_order=False)

    def _url(self) -> URL:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        variable = _VARIABLE.fullmatch(self.url)
        written = os.environ.get(variable[1], "") if variable else self.url
        if variable and not written:
            raise InputError(f"The environment variable {variable[1]} is not set; put the database URL there.")
        try:
            url = make_url(written)
        except ArgumentError as error:
            given = f"What {variable[1]} holds" if variable else f"{self.url!r}"
            raise InputError(f"{given} is not a database URL; write it as sqlite:///FILE.") from error
        if url.password and not variable:
            raise InputError(
                "The database URL holds a password, which would be stored with the settings; put the URL into an "
                "environment variable and give its name: --url '$NAME'."
            )
        return url


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".;")
