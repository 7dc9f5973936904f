"""Whether a new version becomes the champion.

The two are compared on data that neither was trained on or stopped by; their kind says how. If they cannot be compared,
because the champion answers another question, it stays: a model for another question is another model and needs another
name. A damaged champion is represented by the newest intact version. A champion of another kind, or one written by
another Gatecast, is an error instead: it is intact, and only a person may replace it.

Three things keep a challenger from becoming the champion whatever the comparison says: a pinned champion, a rollback
from the same recipe, and a baseline that it must not lose to (`_obstacle`).

`decide` is the gate of a training; a person, a failed run and the monitor use `promote`, `roll_back` and `pin`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gatecast.data.errors import CheckpointError, DamagedError, DamagedFileError, InputError
from gatecast.data.secrets import masked
from gatecast.flows.judging.comparison import Comparison, IncomparableError
from gatecast.flows.registry.kinds import Against, ModelKind
from gatecast.flows.registry.measures import TOLERANCE, Standing
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
    champion = registry.champion()
    if champion == version:
        return Decision(version, champion, False, f"{version} is the champion already.", version)
    best = _loses_to(registry, version, "best_baseline")
    bar = None if gate.must_beat == "nothing" else _loses_to(registry, version, gate.must_beat)
    obstacle = _obstacle(registry, version, bar)
    if champion is None:
        decision = _first(registry, version, obstacle)
    else:
        keeps = "it is pinned" if registry.is_pinned() else obstacle and f"{version} {obstacle}"
        decision = _against(registry, champion, version, kind, meet, gate, keeps)
    loses_to = bar or best
    if loses_to is None:
        return decision
    marked = f"{decision.reason} {version} loses to {loses_to}." if decision.promoted else decision.reason
    return replace(decision, reason=marked, loses_to=loses_to.record())


def _loses_to(registry: Registry, version: str, against: Against) -> Standing | None:
    """Return how a version stands against a baseline if it loses to it, else None; also if its scores are damaged."""
    with suppress(InputError):
        standing = registry.standing(version, against)
        return standing if standing is not None and standing.loses else None
    return None


def _obstacle(registry: Registry, version: str, bar: Standing | None) -> str | None:
    """Return what keeps a version from becoming the champion, in words that follow its name; None if nothing does."""
    recipe = registry.recipe(version)
    for other in registry.rolled_back():
        if other == version:
            return "was rolled back"
        if recipe is not None and registry.recipe(other) == recipe:
            return f"has the data and settings of {other}, which was rolled back"
    return None if bar is None else f"loses to {bar}"


def _first(registry: Registry, version: str, obstacle: str | None) -> Decision:
    """Decide about a version that has no champion to be compared with."""
    if obstacle is not None:
        reason = f"{version} does not become the champion of {registry.name}, since it {obstacle}."
        return Decision(version, None, False, reason, None)
    what = "champion" if len(registry.versions()) > 1 else "version"
    return Decision(version, None, True, f"{version} is the first {what} of {registry.name}.", version)


def _against(
    registry: Registry,
    champion: str,
    version: str,
    kind: ModelKind,
    meet: Callable[[Any, Any], Comparison | None],
    gate: GateSettings,
    keeps: str | None,
) -> Decision:
    """Decide between a challenger and the champion, or what represents a damaged champion; `keeps` lets that stay."""
    opponent = champion
    damage = ""
    try:
        former = _read(registry, champion, kind)
    except DamagedError as error:
        damage = f" ({champion} cannot be read: {error})"
        found = _newest_whole(registry, kind, (champion, version))
        if registry.is_pinned():
            reason = f"{champion} stays since it is pinned{damage}; pin another version or unpin it."
            return Decision(version, champion, False, reason, champion)
        if found is None:
            if keeps is not None:
                return Decision(version, champion, False, f"{champion} stays since {keeps}{damage}.", champion)
            return Decision(version, champion, True, f"{version} replaces the champion{damage}.", version)
        opponent, former = found
    try:
        met = meet(*former)
    except InputError as error:
        remedy = "" if isinstance(error, IncomparableError) else "; give the new model another --name"
        because = f"{str(error).rstrip('.')}{remedy}."
        pinned = " It is pinned." if registry.is_pinned() else ""
        reason = f"{opponent} stays, since it cannot be compared with {version}: {because}{damage}{pinned}"
        return Decision(version, champion, False, reason, opponent)
    if met is None:
        if keeps is not None:
            return Decision(version, champion, False, f"{opponent} stays since {keeps}{damage}.", opponent)
        reason = f"{version} replaces {opponent}: there is no data to compare them on{damage}."
        return Decision(version, champion, True, reason, version)
    shortfall = _shortfall(met, gate) if keeps is None else f" since {keeps}"
    outcome = "is worse than" if met.measure.is_worse(met.value, met.opponent) else "is not worse than"
    words = f"{version} {outcome} {opponent}" + (
        f", which stays{shortfall}" if shortfall is not None else " and replaces it"
    )
    luck = f", {met.luck}" if met.luck else ""
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
    if gate.test != "none" and met.p_value is None and met.luck:
        return f" since {gate.test} has {met.luck}"
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
    InputError
        Another version is pinned.
    """
    with registry.locked():
        champion = _champion(registry)
        if champion == version:
            return Decision(version, champion, False, f"{version} is the champion already.", version, "manual")
        _require_free(registry, champion)
        _read(registry, version)
        instead = f"replaces {champion}" if champion else "is the champion from now on"
        decision = Decision(version, champion, True, f"{version} {instead}: {masked(reason)}.", version, "manual")
        registry.record(decision)
    return decision


def pin(registry: Registry, version: str, reason: str = "pinned by hand") -> Decision:
    """Make a version the champion, if it can be read, and keep it until it is unpinned or another one is pinned.

    Raises
    ------
    CheckpointError
        It cannot be read; nothing changes.
    """
    with registry.locked():
        champion = _champion(registry)
        if champion == version and registry.is_pinned():
            return Decision(version, champion, False, f"{version} is pinned already.", version, "pin")
        _read(registry, version)
        instead = f" instead of {champion}" if champion not in (None, version) else ""
        sentence = f"{version} is the champion{instead}, and pinned: {masked(reason)}."
        decision = Decision(version, champion, champion != version, sentence, version, "pin", pinned=True)
        registry.record(decision)
    return decision


def unpin(registry: Registry, reason: str = "asked for by hand") -> Decision:
    """Let trainings, the monitor and people replace the champion again.

    Raises
    ------
    InputError
        No version is pinned.
    """
    with registry.locked():
        champion = registry.champion()
        if champion is None or not registry.is_pinned():
            raise InputError(
                f"{registry.name} has no pinned version; pin one with 'gatecast models pin {registry.name} VERSION'."
            )
        sentence = f"{champion} is no longer pinned: {masked(reason)}."
        decision = Decision(champion, champion, False, sentence, champion, "unpin", pinned=False)
        registry.record(decision)
    return decision


def _champion(registry: Registry) -> str | None:
    """Return the champion, None also where that is no longer on record."""
    try:
        return registry.champion()
    except DamagedFileError:
        return None


def _require_free(registry: Registry, champion: str | None) -> None:
    if champion is not None and registry.is_pinned():
        raise InputError(
            f"{champion} of {registry.name} is pinned; pin another version with 'gatecast models pin {registry.name}"
            f" VERSION', or run 'gatecast models unpin {registry.name}' first."
        )


def roll_back(
    registry: Registry, reason: str = "asked for by hand", expected: str | None = None, pinned: bool = False
) -> Decision:
    """Make the former champion the champion again.

    Parameters
    ----------
    registry : Registry
    reason : str
        Is recorded.
    expected : str, optional
        The champion to replace; if another version has replaced it since, or if it is pinned, nothing is done.
    pinned : bool
        Whether the former champion is pinned, so that the next training does not undo the rollback.

    Raises
    ------
    InputError
        There is no former champion that can be read, or the champion is pinned.
    """
    with registry.locked():
        champion = registry.champion()
        if expected is not None and champion != expected:
            return Decision(expected, champion, False, f"{champion} has replaced {expected}.", champion, "rollback")
        if expected is not None and registry.is_pinned():
            sentence = f"{expected} stays since it is pinned: {masked(reason)}."
            return Decision(expected, champion, False, sentence, champion, "rollback")
        _require_free(registry, champion)
        passed_over = []
        for former in registry.former_champions():
            try:
                _read(registry, former)
            except CheckpointError as error:
                passed_over.append(f"{former} cannot be read: {str(error).rstrip('.')}")
                continue
            because = "; ".join([masked(reason), *passed_over])
            again = "the champion again, and pinned," if pinned else "the champion again"
            sentence = f"{former} is {again} instead of {champion}: {because}."
            decision = Decision(former, champion, True, sentence, former, "rollback", pinned=pinned)
            registry.record(decision)
            return decision
    why = f" ({'; '.join(passed_over)})" if passed_over else ""
    raise InputError(
        f"{registry.name} has no former champion to go back to{why}; choose a version with"
        f" 'gatecast models promote {registry.name} VERSION', or train it again."
    )


def undo(registry: Registry, version: str, former: str | None, reason: str) -> None:
    """Undo the promotion of `version`, unless another has replaced it since or a person has pinned it.

    Without `former`, no champion is left.
    """
    with registry.locked():
        if registry.champion() == version != former and not registry.is_pinned():
            registry.record(Decision(version, version, False, f"{reason}.", former, "rollback"))
