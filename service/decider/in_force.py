"""Which of a model's two bundles is in force: the one that the configuration names, until a command switches."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from service.config import Config
from service.decider.bench import Record, Watched


class Switched(NamedTuple):
    """A model whose bundles were switched by a command; digests.

    ``configured``: what ``models.NAME.bundle`` named then; ``former``: what a rollback puts back in force, None after one.
    """

    in_force: str
    configured: str
    former: str | None


class Sides(NamedTuple):
    """The two bundles of one model, and what is remembered; ``note``: what the operator should know."""

    in_force: Watched
    shadow: Watched | None
    switched: Switched | None = None
    note: str | None = None


def sides(name: str, configured: Watched, shadow: Watched | None, switched: Switched | None) -> Sides:
    """Who judges and who is the shadow.

    A command holds as long as the configuration names the same bundle as when it was given; once that changes, the configuration holds.
    """
    if switched is None:
        return Sides(configured, shadow)
    if switched.in_force == configured.bundle:
        return Sides(configured, shadow, switched._replace(configured=configured.bundle))
    if shadow is not None and shadow.bundle == switched.in_force and configured.bundle == switched.configured:
        return Sides(shadow, configured, switched)
    note = (
        f"model {name}: bundle {switched.in_force[:12]} was put in force by a command, but the configuration has changed since: "
        f"{configured.bundle[:12]} is in force now, as models.{name}.bundle says"
    )
    return Sides(configured, shadow, None, note)


def shadow_config(config: Config, models: Mapping[str, Watched], shadows: Mapping[str, Watched]) -> Config:
    """The configuration for the shadows alone: with it each has the thresholds that it would have in force."""
    part = sum(watched.weight for watched in shadows.values()) / sum(watched.weight for watched in models.values())
    budgets = config.budgets.model_copy(update={"page": config.budgets.page / part, "ticket": config.budgets.ticket / part})
    return config.model_copy(update={"budgets": budgets})


class Records:
    """What a saved state holds of every bundle of every model, also of those that are not configured now."""

    def __init__(self, saved: Mapping[str, Any] | None) -> None:
        self._all: dict[str, dict[str, Record]] = {}
        for name, record in _found(saved) if saved else ():
            self._all.setdefault(name, {})[record["bundle"]] = record

    def of(self, models: Mapping[str, Watched]) -> dict[str, Record]:
        """Model name -> the record of its bundle, where there is one."""
        return {name: self._all[name][each.bundle] for name, each in models.items() if each.bundle in self._all.get(name, {})}

    def detached(self, in_force: Mapping[str, Watched], shadows: Mapping[str, Watched]) -> dict[str, Record]:
        """Model name -> what the newest bundle has learned that is neither in force nor a shadow now, without its windows."""
        left: dict[str, Record] = {}
        for name in in_force:
            held = {side[name].bundle for side in (in_force, shadows) if name in side}
            gone = [record for digest, record in self._all.get(name, {}).items() if digest not in held]
            if gone:
                left[name] = {**gone[-1], "tracks": {}, "spoken": None}
        return left


def _found(saved: Mapping[str, Any]) -> Iterator[tuple[str, Record]]:
    """Oldest first: what was detached, the shadows, what was in force."""
    yield from saved.get("detached", {}).items()
    yield from ((saved.get("shadow") or {}).get("models", {})).items()
    yield from saved["models"].items()
