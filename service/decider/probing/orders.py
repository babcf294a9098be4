"""What people say of probes: that a model is deployed, and that what answers now is as it should be."""

from service.decider.expectations import Refused
from service.decider.probing.deployments import ANNOUNCED, Deployment
from service.decider.probing.judge import Probing
from service.decider.probing.stream import Stream
from service.records import Command

FIELDS = {"model": "model_name", "target": "target", "suite": "suite", "category": "category"}
"""What an acceptance may name -> what the description of a stream calls it."""


def deployed(probing: Probing, deployment: Deployment) -> str:
    """Somebody announces a deployment: what fingerprints have seen so far speaks of the model before, and is explained."""
    probing.deployments.add(deployment)
    prints = [each for each in probing.streams.values() if each.is_fingerprint and each.planned.of.model_name == deployment.model_name]
    for stream in prints:
        stream.renew(deployment.time)
        what = f"revision {deployment.revision} was announced: {deployment.reason}"
        probing.end_all(stream, deployment.actor, deployment.time, "benign", what)
    if not prints:
        return "noted: no fingerprints of this model are taken"
    return f"fingerprints that change within {ANNOUNCED / 3600:.0f} h are no news, and what answers after that is their reference"


def accept(probing: Probing, command: Command) -> str:
    """Take what answers now as the record of a model's suites, where it is acceptable.

    A fingerprint has no record: it takes a new reference. Judges are held against labelled answers of their own, and mean nothing of a
    release: their record is meant only where their suite or target is named.

    Raises:
        Refused: for a name that nothing has, and where there is nothing to accept.
    """
    meant, done, answers = _meant(probing, command), [], 0
    reason = str(command.arguments.get("reason") or "")
    for stream in meant:
        if not probing.acceptable(stream):
            continue
        offered = probing.offered(stream)
        tally = stream.record.accept(command.time, command.actor, reason, offered.n, offered.bad) if offered is not None else None
        if offered is not None and tally is not None:
            done.append(stream)
            answers += offered.n
            stream.renew(tally.last)
    prints = [stream for stream in meant if stream.is_fingerprint] if command.arguments.get("category") is None else []
    if not done and command.arguments.get("suite") is None:
        prints = []
    for stream in prints:
        stream.renew(command.time)
    for stream in (*done, *prints):
        probing.end_all(stream, command.actor, command.time, "monitor", f"a record of probes was accepted: {reason}")
    if not done and not prints:
        raise Refused("nothing to accept: no other model is on trial, no incident is open, and no stream that answered is without a record")
    told = [f"accepted as the record: {len(done)} streams, {answers:,} answers"] if done else []
    return "; ".join([*told, *(["fingerprints take a new reference from here on"] if prints else [])])


def _meant(probing: Probing, command: Command) -> list[Stream]:
    """Streams that an acceptance names."""
    left, wanted = [stream for stream in probing.streams.values() if not stream.paired], command.arguments
    if wanted.get("model") is None:
        raise Refused("model must be given")
    for name, field in FIELDS.items():
        if wanted.get(name) is None:
            continue
        known = list(dict.fromkeys(getattr(stream.planned.of, field) for stream in left))
        if wanted[name] not in known:
            listed = ", ".join(each for each in known if each)
            raise Refused(f"no {name} that is probed is called {wanted[name]!r}; known: {listed or 'none'}")
        left = [stream for stream in left if getattr(stream.planned.of, field) == wanted[name]]
    named = wanted.get("suite") is not None or wanted.get("target") is not None
    return [stream for stream in left if named or stream.planned.of.kind != "judge"]
