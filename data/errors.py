"""The exceptions that bad input and a failing source raise.

::

    ValueError
    └── InputError             the input is wrong
        └── CheckpointError    a saved model cannot be read, or must not be overwritten
            ├── DamagedError   files are missing, changed or incomplete: restore it, or train the model again
            ├── FormatError    it is whole, but an older or newer Gatecast wrote it: use that Gatecast
            └── KindError      it is whole, but a model of another kind: use what that kind is for
    RuntimeError
    └── SourceError            a source did not give what it should

The three are told apart because only a damaged model may be replaced without asking.
"""

from __future__ import annotations


class InputError(ValueError):
    """The input is wrong; the message is one sentence that names the file, row or value and the mend."""


class CheckpointError(InputError):
    """A saved model cannot be read, or must not be overwritten."""


class DamagedError(CheckpointError):
    """Files of a saved model are missing, changed or incomplete."""


class FormatError(CheckpointError):
    """A saved model is whole, but was written by an older or newer Gatecast, which this one cannot read."""


class KindError(CheckpointError):
    """A saved model is whole, but of another kind than the one that is asked for."""


class SourceError(RuntimeError):
    """A source did not give what it should; the message is one sentence with the real cause and what to do."""
