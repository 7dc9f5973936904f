"""Whether a new version becomes the champion.

The two are compared on data that neither was trained on or stopped by; their kind says how. If they cannot be compared,
because the champion answers another question, it stays: a model for another question is another model and needs another
name. A damaged champion is represented by the newest intact version. A champion of another kind, or one written by
another Gatecast, is an error instead: it is intact, and only a person may replace it.

`decide` is the gate of a training; a person, a failed run and the monitor use `promote` and `roll_back`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gatecast.data.errors import CheckpointError, DamagedError, DamagedFileError, InputError
from gatecast.data.secrets import masked
from gatecast.flows.judging.comparison import Comparison, IncomparableError
from gatecast.flows.registry.kinds import ModelKind
from gatecast.flows.registry.measures import TOLERANCE
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.flows.settings.runs import GateSettings

DEFAULT_GATE = GateSettings()


def decide(
    registry: Registry,
    version: str,
    kind: ModelKind,
    meet: Callable[[Any, Any], Comparison | None],
    gate: GateSettings = DEFAULT_GATE,
) -> Decision:
    """Compare a challenger with the champion, and let the gate decide which one is the champion.

    Parameters
    ----------
    registry : Registry
        Holds both.
    version : str
        The challenger.
    kind : ModelKind
        Its kind.
    meet : callable
        Given the champion's model and settings, compares it with the challenger; see `flows.judging.comparison`. If it
        returns None, since there is no data to compare on, the challenger wins.
    gate : GateSettings
        What the challenger has to show.

    Raises
    ------
    KindError, FormatError
        The champion is of another kind, or was written by another Gatecast.
    """
    settled = registry.without_comparison(version)
    if settled is not None:
        return settled
    champion = str(registry.champion())
    opponent = champion
    damage = ""
    try:
        former = _read(registry, champion, kind)
    except DamagedError as error:
        damage = f" ({champion} cannot be read: {error})"
        found = _newest_whole(registry, kind, (champion, version))
        if found is None:
            return Decision(version, champion, True, f"{version} replaces the champion{damage}.", version)
        opponent, former = found
    try:
        met = meet(*former)
    except InputError as error:
        remedy = "" if isinstance(error, IncomparableError) else "; give the new model another --name"
        because = f"{str(error).rstrip('.')}{remedy}."
        reason = f"{opponent} stays, since it cannot be compared with {version}: {because}{damage}"
        return Decision(version, champion, False, reason, opponent)
    if met is None:
        reason = f"{version} replaces {opponent}: there is no data to compare them on{damage}."
        return Decision(version, champion, True, reason, version)
    shortfall = _shortfall(met, gate)
    outcome = "is worse than" if met.measure.is_worse(met.value, met.opponent) else "is not worse than"
    words = f"{version} {outcome} {opponent}" + (
        f", which stays{shortfall}" if shortfall is not None else " and replaces it"
    )
    luck = "" if met.p_value is None else f", p = {met.p_value:.2g}"
    ours, theirs = (met.measure.text(value) for value in (met.value, met.opponent))
    reason = f"{words}: {met.measure.name} {ours} against {theirs} on {met.on}{luck}{damage}."
    promoted = shortfall is None
    winner = version if promoted else opponent
    return Decision(version, champion, promoted, reason, winner, comparison=met.record())


def _newest_whole(registry: Registry, kind: ModelKind, left_out: tuple[str, ...]) -> tuple[str, tuple[Any, Any]] | None:
    """Return the newest version of a kind that can be read, with its model and settings."""
    for version in reversed(registry.versions()):
        with suppress(CheckpointError):
            if version not in left_out:
                return version, _read(registry, version, kind)
    return None


def _read(registry: Registry, version: str, kind: ModelKind | None = None) -> tuple[Any, Any]:
    """Return model and settings of a version, which must be of the given kind, if any."""
    return registry.model(version, kind), registry.settings(version, kind)


def _shortfall(met: Comparison, gate: GateSettings) -> str | None:
    """Return what the challenger lacks, in words that follow "which stays"; None if it passes."""
    measure = met.measure
    if measure.is_worse(met.value, met.opponent):
        return ""
    if met.gain < gate.minimum_gain - TOLERANCE:
        return f" since a gain of {gate.minimum_gain:.2%} is asked for and this is {met.gain:.2%}"
    if gate.test != "none" and met.p_value is not None and met.p_value >= gate.significance:
        return f" since the gain may be luck ({gate.test} asks for p < {gate.significance:g})"
    return None


def promote(registry: Registry, version: str, reason: str = "chosen by hand") -> Decision:
    """Make a version of any kind the champion, whatever the gate says, if it can be read.

    If it is no longer on record who the champion is, this settles it.

    Raises
    ------
    CheckpointError
        It cannot be read; the champion stays.
    """
    with registry.locked():
        try:
            champion = registry.champion()
        except DamagedFileError:
            champion = None
        if champion == version:
            return Decision(version, champion, False, f"{version} is the champion already.", version, "manual")
        _read(registry, version)
        instead = f"replaces {champion}" if champion else "is the champion from now on"
        decision = Decision(version, champion, True, f"{version} {instead}: {masked(reason)}.", version, "manual")
        registry.record(decision)
    return decision


def roll_back(registry: Registry, reason: str = "asked for by hand", expected: str | None = None) -> Decision:
    """Make the former champion the champion again.

    Parameters
    ----------
    registry : Registry
    reason : str
        Is recorded.
    expected : str, optional
        The champion to replace; if another version has replaced it since, nothing is done.

    Raises
    ------
    InputError
        There is no former champion that can be read.
    """
    with registry.locked():
        champion = registry.champion()
        if expected is not None and champion != expected:
            return Decision(expected, champion, False, f"{champion} has replaced {expected}.", champion, "rollback")
        passed_over = []
        for former in registry.former_champions():
            try:
                _read(registry, former)
            except CheckpointError as error:
                passed_over.append(f"{former} cannot be read: {str(error).rstrip('.')}")
                continue
            because = "; ".join([masked(reason), *passed_over])
            sentence = f"{former} is the champion again instead of {champion}: {because}."
            decision = Decision(former, champion, True, sentence, former, "rollback")
            registry.record(decision)
            return decision
    why = f" ({'; '.join(passed_over)})" if passed_over else ""
    raise InputError(
        f"{registry.name} has no former champion to go back to{why}; choose a version with"
        f" 'gatecast models promote {registry.name} VERSION', or train it again."
    )


def undo(registry: Registry, version: str, former: str | None, reason: str) -> None:
    """Undo the promotion of `version`, unless another has replaced it since; without `former`, no champion is left."""
    with registry.locked():
        if registry.champion() == version != former:
            registry.record(Decision(version, version, False, f"{reason}.", former, "rollback"))
