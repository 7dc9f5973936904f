"""Settings of the models: frozen, validated when they are made, stored with every checkpoint.

A setting is written once, here: its option on the command line, its field in the dashboard's form and its row in
``docs/settings.md`` are made from it. What only the command line needs is in ``json_schema_extra``: ``options``, where
the spelling is not just the name, and ``panel``, the part of the help that begins with this field. These files import
neither pandas nor numba, so that ``gatecast --help`` is quick.
"""

from __future__ import annotations

from gatecast.lstm.config.forecaster import ForecasterSettings
from gatecast.lstm.config.language import CharLMSettings
from gatecast.lstm.config.network import NetworkSettings
from gatecast.lstm.config.tagging import TaggerSettings
from gatecast.lstm.config.training import Schedule

__all__ = ["CharLMSettings", "ForecasterSettings", "NetworkSettings", "Schedule", "TaggerSettings"]
