"""From the entries of the ledger to verdicts and incidents: pure, without clock or I/O, a function of the log alone."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.config import Config
from service.decider.advice import advice
from service.decider.bench import Bench, Record, Watched
from service.decider.closed import Closed
from service.decider.commands import Commands
from service.decider.in_force import Records, Switched, shadow_config, sides
from service.decider.keys import Keys
from service.decider.learning import Purpose
from service.decider.probing.gates import gate_states
from service.decider.probing.joint import Joint
from service.decider.probing.judge import Probing
from service.decider.probing.layout import KINDS
from service.decider.probing.view import probe_views, suite_views
from service.decider.snapshot import DeciderSnapshot, ModelView
from service.decider.windows import OpenWindows
from service.records import Command, Entry, Incident, Report, Verdict
from service.records.probes import ProbeStream
from service.records.probes_json import ROUND

__all__ = ["Decider", "UnknownState", "Watched"]

KIND, VERSION = "tiltmeter.decider", 3


class UnknownState(Exception):
    """A snapshot of a kind or version that this program does not read."""


class Decider:
    """One decider over all models. :meth:`absorb` entries in order, then take what was decided from :meth:`close_due`.

    ``purpose``: "service" begins with first contact; "replay" begins against the reference and opens at most tickets until a baseline is
    accepted; "history" judges nothing and learns everything (see :meth:`learned`).

    ``shadows``: model name -> its second bundle, judged beside the one in force with a record of its own, and waking nobody. Commands
    switch the two.

    ``probes``: what is asked of the models' targets; their rounds come as commands, and are of the model in force whichever bundle it has.
    """

    position: int
    """Position of the next entry of the ledger."""
    closed_windows: int
    """Windows closed since the state began."""
    notes: tuple[str, ...]
    """What the operator should know of the last :meth:`restore`."""

    _done: list[Closed]
    _windows: OpenWindows
    _keys: Keys
    _live: Bench
    _shadow: Bench | None
    _probing: Probing
    _joint: Joint
    _switched: dict[str, Switched]
    _detached: Mapping[str, Record]
    _commands: Commands

    def __init__(
        self,
        models: Mapping[str, Watched],
        config: Config,
        purpose: Purpose = "service",
        shadows: Mapping[str, Watched] | None = None,
        probes: Sequence[ProbeStream] = (),
    ) -> None:
        self._config, self._purpose, self._probes = config, purpose, tuple(each for each in probes if each.model_name in models)
        asked = {each.model_name: config.probes.weight for each in self._probes}
        self._models, self._shadows = (
            {name: replace(each, probes_weight=asked.get(name, 0.0)) for name, each in side.items()} for side in (models, shadows or {})
        )
        self.restore(None)

    def absorb(self, entries: Sequence[Entry]) -> None:
        """Take entries of the ledger in order; windows they complete are decided at once. About 2 ms a window of one model, 5 ms
        with 50 slices.
        """
        for entry in entries:
            body = entry.body
            if isinstance(body, Report):
                self._keys.end_append(body.sent)
                self._windows.report(body)
                self._probing.tap.seen(body.canaries)
                self._close()
            elif isinstance(body, Command) and body.kind == ROUND:
                self._collect(None, self._commands.attempt(body, self._probing.take))
            elif isinstance(body, Command):
                switches = self._commands.apply(body)
                self._collect(None)
                if switches:
                    self._change_places()
            elif self._keys.accepts(entry.key):
                self._windows.add(*body)
            self.position = entry.position + 1

    def close_due(self, now: float | None) -> Sequence[Closed]:
        """Everything decided since the last call, in order.

        ``now`` (wall clock) may be given only when the log has been silent for a worker's lease: it then stands in for the reports that
        do not come. With None the log alone moves time.
        """
        if now is not None:
            self._windows.advance(now)
            self._close()
        done, self._done = self._done, []
        return done

    @property
    def watermark(self) -> float:
        """Event time up to which everything is known; -inf before the first report."""
        return self._windows.watermark

    def learned(self, model: str, source: str) -> dict[str, Any]:
        """Arguments of a ``baseline.learn`` command (without ``model``) from the windows closed so far."""
        return self._live.learning[model].payload(source)

    def _close(self) -> None:
        while due := self._windows.due():
            start, sketches = due
            self.closed_windows += 1
            behind = self._windows.behind()
            mine = {key: sketch for key, sketch in sketches.items() if key[:2] not in self._windows.twice}
            verdicts = self._live.judge.window(start, mine, behind)
            self._done.append(Closed(start, sketches, verdicts, self._drain()))
            if self._shadow and len(mine) < len(sketches):
                self._shadow.judge.window(start, {key: sketch for key, sketch in sketches.items() if key not in mine}, behind)
                self._shadow.incidents.drain()  # a shadow's are for its own record
        self._live.judge.catch_up(self._windows.behind())
        self._collect(None)

    def _collect(self, window: int | None, verdicts: tuple[Verdict, ...] = ()) -> None:
        """What commands, rounds and catching up have changed outside a window."""
        incidents, (baselines, audit) = self._drain(), self._commands.drain()
        if verdicts or incidents or baselines or audit:
            self._done.append(Closed(window, {}, verdicts, incidents, baselines, audit))

    def _drain(self) -> tuple[Incident, ...]:
        """Incidents that changed, once those of prompts and of probes agree."""
        self._joint.settle()
        return *self._live.incidents.drain(), *self._probing.incidents.drain()

    def _change_places(self) -> None:
        """Put what a command has switched in force: the same as a restart at this entry of the log."""
        done = self._done
        self.restore(self.snapshot())
        self._done = done + self._done

    def snapshot(self) -> bytes:
        """Everything needed to go on, as compressed JSON. Take what was decided (:meth:`close_due`) first."""
        state = {
            "kind": KIND,
            "version": VERSION,
            "position": self.position,
            "closed_windows": self.closed_windows,
            "windows": self._windows.to_json(),
            "keys": self._keys.to_json(),
            "commands": self._commands.to_json(),
            **self._live.to_json(),
            "shadow": self._shadow and self._shadow.to_json(),
            "detached": self._detached,
            "probing": self._probing.to_json(),
            "joint": self._joint.to_json(),
            "switched": {name: list(switched) for name, switched in self._switched.items()},
        }
        return zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1)

    def restore(self, state: bytes | None) -> None:
        """Inverse of :meth:`snapshot`; None begins anew.

        A model whose bundle is another one now begins with the record of that bundle, if there is one, else anew; its incidents are
        closed.

        Raises:
            UnknownState: not a snapshot, or of a version this program does not read.
        """
        config = self._config
        saved = _opened(state)
        self.position, self.closed_windows = 0, 0
        self._done = []
        self._windows = OpenWindows(config.windows)
        self._keys = Keys()
        in_force, shadows = self._choose(saved.get("switched", {}) if saved else {})
        records = Records(saved)
        self._live = Bench(in_force, config, self._purpose, records.of(in_force))
        self._shadow = None
        if shadows:
            self._shadow = Bench(shadows, shadow_config(config, in_force, shadows), self._purpose, records.of(shadows))
        self._detached = records.detached(in_force, shadows)
        owners = {name: each.owner for name, each in self._models.items()}
        self._probing = Probing(self._probes, self._models, config, owners)
        self._joint = Joint(self._live.incidents, self._probing.incidents, self._probing.planned)
        bundles = {name: each.bundle for name, each in self._models.items()}
        self._commands = Commands(self._live, self._shadow, self._switched, bundles, self._probing)
        if saved:
            self._load(saved)
        self._windows.twice = frozenset((each.bundle, name) for name, each in shadows.items())

    def _choose(self, saved: Mapping[str, Any]) -> tuple[dict[str, Watched], dict[str, Watched]]:
        """Which bundles are in force and which are shadows."""
        switched = {name: Switched(*values) for name, values in saved.items()}
        chosen = {name: sides(name, each, self._shadows.get(name), switched.get(name)) for name, each in self._models.items()}
        self._switched = {name: side.switched for name, side in chosen.items() if side.switched}
        self.notes = tuple(side.note for side in chosen.values() if side.note)
        shadows = {name: side.shadow for name, side in chosen.items() if side.shadow}
        return {name: side.in_force for name, side in chosen.items()}, shadows

    def _load(self, saved: Mapping[str, Any]) -> None:
        self.position, self.closed_windows = saved["position"], saved["closed_windows"]
        self._windows = OpenWindows.from_json(self._config.windows, saved["windows"])
        self._keys.load(saved["keys"])
        self._live.load(saved, self._windows.watermark)
        if self._shadow and saved.get("shadow"):
            kept = self._shadow.load(saved["shadow"], self._windows.watermark)
            self._shadow.incidents.drain()
            self._shadow.incidents.count_only(kept)
        if probing := saved.get("probing"):
            self._probing.load(probing, self._windows.watermark)
            self._joint.load(saved["joint"])
        self._commands.load(saved["commands"])
        self._collect(None)

    def picture(self, *, active: bool, now: float, checkpointed: float | None = None, blind: Sequence[str] = ()) -> DeciderSnapshot:
        """Everything for the other threads; ``blind`` adds reasons that only the caller knows. About 0.1 ms a stream."""
        windows, live, shadow, probing = self._windows, self._live, self._shadow, self._probing
        wall = now if self._config.windows.clock == "wall" else None
        tapped = probing.tap.blind(now) if wall is not None else {}
        reasons = (*blind, *windows.blind(now))
        incidents = [*live.incidents.open(), *probing.incidents.open()]
        models = live.model_views()
        unseen = {**{model.model_name: reasons[0] for model in models if reasons}, **tapped}
        gates = gate_states(probing, live.incidents, self._config, wall, unseen)
        return DeciderSnapshot(
            active=active,
            published=now,
            checkpointed=checkpointed,
            watermark=windows.watermark,
            position=self.position,
            open_windows=len(windows),
            closed_windows=self.closed_windows,
            blind=(*reasons, *tapped.values()),
            streams=live.views(bool(reasons), windows.watermark, tapped),
            models=tuple(_with_probes(model, probing) for model in models),
            incidents=tuple(sorted((i for i in incidents if i.part_of is None), key=lambda incident: (incident.opened, incident.id))),
            recent=_newest(live.incidents.recent, probing.incidents.recent),
            late=dict(windows.late),
            refused=dict(windows.refused),
            unknown_bundle=dict(live.judge.unknown),
            repeats=self._keys.repeats,
            lost_partitions=windows.lost,
            opened={place[:]: count for place, count in (*live.incidents.opened.items(), *probing.incidents.opened.items())},
            ended=live.incidents.ended + probing.incidents.ended,
            joined=tuple(incident for incident in incidents if incident.part_of is not None),
            probes=probe_views(probing, tapped, wall),
            suites=suite_views(probing),
            deployments=tuple(probing.deployments.all),
            gates=gates,
            advice=advice([model.model_name for model in models], incidents, gates, unseen),
            shadow_streams=shadow.views(False, windows.watermark) if shadow else (),
            shadows=shadow.model_views() if shadow else (),
            shadow_opened={place[:]: count for place, count in shadow.incidents.opened.items()} if shadow else {},
            former={name: each.former for name, each in self._switched.items() if each.former},
        )


def _with_probes(model: ModelView, probing: Probing) -> ModelView:
    """A model with what is open for its probes."""
    if model.model_name not in probing.models:
        return model
    opened = [incident.opened for incident in probing.incidents.open() if incident.model_name == model.model_name]
    since = min((*opened, *([] if model.since is None else [model.since])), default=None)
    severity = {kind: probing.incidents.worst(model.model_name, kind) for kind in KINDS}
    return replace(model, severity={**model.severity, **severity}, since=since)


def _newest(drift: Sequence[Incident], probes: Sequence[Incident]) -> tuple[Incident, ...]:
    """Closed incidents of both, newest first."""
    if not probes:
        return tuple(drift)
    return tuple(sorted((*drift, *probes), key=lambda incident: -(incident.closed or 0.0)))[:50]


def _opened(state: bytes | None) -> Mapping[str, Any] | None:
    """The JSON of a snapshot, checked for kind and version."""
    if state is None:
        return None
    try:
        saved = json.loads(zlib.decompress(state))
        found = saved["kind"], saved["version"]
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise UnknownState("the checkpoint holds no state of a decider") from error
    if found != (KIND, VERSION):
        raise UnknownState(f"the checkpoint holds {found[0]} version {found[1]}; this program reads {KIND} version {VERSION}")
    return dict(saved)
