"""A flow that the dashboard, ``gatecast.toml`` and ``gatecast run`` can start; it is imported when it is needed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect import Flow

CONTINUED: Mapping[str, Any] = MappingProxyType({"resume": True})
"""Defaults of a training: after a crash, the next run continues where the last one stopped"""


def imported(place: str) -> Any:
    """Return what a place such as ``gatecast.flows.retrain:retrain`` names: a module, and something in it."""
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Deployable:
    """A flow that can be deployed. It takes plain, typed parameters, preferably one pydantic model ``settings``.

    Attributes
    ----------
    name : str
        What ``gatecast.toml`` and the dashboard call it.
    entrypoint : str
        Its place, ``gatecast.flows.retrain:retrain``.
    about : str
        What it does, for the dashboard.
    defaults : mapping
        Parameters that differ between a deployed flow and one that is called directly.
    """

    name: str
    entrypoint: str
    about: str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def flow(self) -> Flow[..., Any]:
        """Import the flow."""
        return imported(self.entrypoint)
