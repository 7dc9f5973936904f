"""What a torture is, and how a trial ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.torture.ground import Ground


class Broken(AssertionError):
    """A promise is broken; the message says which one and how."""


class Skipped(Exception):
    """What is needed for a trial is not on this machine; the message says what."""


class Torture:
    """One promise, and how it is tried.

    The first paragraph of the docstring of a subclass is the promise, as the report prints it.

    Attributes
    ----------
    name : str
    short : int
        Trials of the short form.
    share : float
        Of the time of the long form, in relation to the others.
    """

    name: str
    short: int
    share: float = 1.0

    def __init__(self, ground: Ground, is_short: bool = True) -> None:
        self.ground = ground
        self.is_short = is_short

    def prepare(self) -> None:
        """Make what all trials start from."""

    def trial(self, seed: int, number: int) -> str:
        """Try once to break the promise, and return in a word or two what was tried.

        Parameters
        ----------
        seed : int
            Decides everything that is random.
        number : int
            Of the trial, from 0, for those that take turns.

        Raises
        ------
        Broken
            The promise does not hold.
        Skipped
            It cannot be tried here.
        """
        raise NotImplementedError

    @property
    def promise(self) -> str:
        """The first paragraph of the docstring, on one line."""
        return " ".join((self.__doc__ or "").split("\n\n")[0].split())


def require(holds: object, message: str) -> None:
    """Raise Broken, with the message, unless something holds."""
    if not holds:
        raise Broken(message)


@contextmanager
def one_sentence(what: str) -> Iterator[list[str]]:
    """Let a block end or be refused in one sentence; anything else breaks the promise.

    Yields
    ------
    list of str
        Holds the sentence afterwards, if there was one.
    """
    from gatecast.data.errors import InputError, SourceError

    told: list[str] = []
    try:
        yield told
    except (InputError, SourceError) as error:
        told.append(str(error))
        require("\n" not in told[0] and told[0].strip(), f"{what}: the error is not one line: {told[0]!r}")
    except (Broken, Skipped):
        raise
    except Exception as error:
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        raise Broken(
            f"{what}: {type(error).__name__} in {where.filename.rpartition('/')[2]}:{where.lineno}, not a sentence: "
            f"{str(error)[:300]}"
        ) from error
