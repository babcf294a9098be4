"""Every stream at every kind of change, on real texts through the real decider: after how many windows does each say so?

    python -m benchmarks.all_streams --data DIR [--runs 20] [--bundle DIR] [--change NAME ...]

Test questions of CLINC150, scored by a bundle fitted on its train texts; windows of 200, one a minute, drawn one by one. The decider learns
four weeks and accepts them; settings are the defaults (minimum effect half a point, 1 page in 90 days for five streams). Then ten quiet
windows, and from there on a share of the prompts is replaced:

- ``out of scope``: questions that no intent covers.
- ``Spanish``: made by machine from a frame, a verb and a noun, because no public set at hand has the questions in another language.
- ``one intent``: questions of one usual intent, another one in each run.
- ``reworded``: usual questions in the frame of benchmarks/embedding_shift.py.

Median windows from the change to the crossing, pages of the streams that may page and tickets of the others; ``-``: half of the runs or
more without one within two hours. Bars: topic_mix pages one intent within 30 windows, embedding_shift reworded questions within 60, some
stream pages each change of a tenth, and language tells the Spanish one within 30. Exit status 1 when one is missed.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.decider import BUNDLE, DAY, LEARNED_DAYS, MODEL, MONDAY, Feed, configuration
from benchmarks.embedding_shift import FRAME
from benchmarks.texts import fitted
from detectors.sketch import Sketch, sketch_groups
from service.bundle import Bundle
from service.config import Compute
from service.decider.budget import PAGING
from service.decider.decider import Decider, Watched
from service.encoder import Encoder, Scorer
from service.language import LANGUAGES, languages
from service.records import WHOLE, DeltaKey

PROMPTS, MINUTE, QUIET, LIMIT = 200, 60, 10, 120
BEGIN = MONDAY + 9 * 3600
FRAMES = (
    "cómo puedo {} {}",
    "quiero {} {} por favor",
    "dónde puedo {} {}",
    "no sé cómo {} {}",
    "me ayudas a {} {}",
    "por qué no puedo {} {}",
)
VERBS = ("pagar", "cambiar", "cancelar", "ver", "encontrar", "pedir", "comprar", "cerrar", "mejorar", "olvidar")
NOUNS = (
    "mi cuenta",
    "la factura",
    "mi tarjeta",
    "el vuelo",
    "una reserva",
    "la receta",
    "el saldo",
    "mi contraseña",
    "un coche",
    "el hotel",
)
CHANGES = {"out of scope, 2%": 0.02, "out of scope, 10%": 0.1, "Spanish, 10%": 0.1, "one intent, 10%": 0.1, "reworded, 10%": 0.1}
BARS = {("one intent, 10%", "topic_mix"): 30, ("reworded, 10%", "embedding_shift"): 60, ("Spanish, 10%", "language"): 30}

FIRST, TENTH = "first page", 0.1

Rows = NDArray[np.int64]
Waited = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """Scored texts: ``columns`` of :func:`detectors.sketch.sketch_groups`; rows by kind in ``kinds``, by intent in ``intents``."""

    columns: dict[str, NDArray[np.generic]]
    topics: int
    kinds: dict[str, Rows]
    intents: list[Rows]

    def sketches(self, rows: Rows) -> list[Sketch]:
        """(W, 200) rows to W windows."""
        windows = len(rows)
        group = np.repeat(np.arange(windows), rows.shape[1])
        columns = {name: column[rows.ravel()] for name, column in self.columns.items()}
        return sketch_groups(group, windows, topics=self.topics, languages=len(LANGUAGES), whole=np.ones(windows, bool), **columns)


def spanish() -> list[str]:
    """600 questions."""
    return [frame.format(verb, noun) for frame, verb, noun in product(FRAMES, VERBS, NOUNS)]


def make_pool(data: Path, bundle: Bundle) -> Pool:
    """Score all texts. About a minute."""
    splits = json.loads((data / "clinc_oos" / "data_full.json").read_text())
    usual = [text for text, _ in splits["test"]]
    texts = {"usual": usual, "out of scope": [text for text, _ in splits["oos_test"]], "Spanish": spanish()}
    texts["reworded"] = [FRAME.format(text) for text in usual[::3]]
    everything = [text for part in texts.values() for text in part]
    compute = Compute(device="cpu")
    scores = Scorer.open(bundle, compute).score(Encoder.open(bundle, compute).encode(everything))
    columns = {name: getattr(scores, name) for name in ("p_value", "strange", "far", "topic", "tokens", "truncated", "fourier")}
    columns |= {"characters": np.array([len(text) for text in everything]), "language": languages(everything)}
    ends = np.cumsum([len(part) for part in texts.values()])
    kinds = {kind: np.arange(end - len(texts[kind]), end) for kind, end in zip(texts, ends, strict=True)}
    _, intent = np.unique([label for _, label in splits["test"]], return_inverse=True)
    return Pool(columns, len(bundle.topics), kinds, [np.flatnonzero(intent == i) for i in range(intent.max() + 1)])


def fresh(bundle: Bundle) -> Decider:
    """A decider that knows nothing."""
    return Decider({MODEL: Watched(BUNDLE, bundle.nulls, bundle.topics)}, configuration(0))


def absorb(decider: Decider, feed: Feed, start: int, sketch: Sketch) -> None:
    """One closed window."""
    decider.absorb(list(feed.entries({DeltaKey(BUNDLE, MODEL, WHOLE, start): sketch}, start + MINUTE)))


def learned(pool: Pool, bundle: Bundle, rng: np.random.Generator) -> tuple[Decider, Feed]:
    """A decider that accepted four weeks."""
    decider, feed, usual = fresh(bundle), Feed(), pool.kinds["usual"]
    for start in range(MONDAY - LEARNED_DAYS * DAY, MONDAY, 60 * MINUTE):
        for minute, sketch in enumerate(pool.sketches(rng.choice(usual, (60, PROMPTS)))):
            absorb(decider, feed, start + MINUTE * minute, sketch)
    decider.close_due(None)
    decider.absorb([feed.command("baseline.accept", reason="four weeks")])
    for step in decider.close_due(None):
        for entry in step.audit:
            print(f"baseline: {entry.outcome[:160]}", file=sys.stderr, flush=True)
    return decider, feed


def changed(pool: Pool, change: str, rng: np.random.Generator) -> Rows:
    """Quiet windows and changed ones."""
    rows = rng.choice(pool.kinds["usual"], (QUIET + LIMIT, PROMPTS))
    kind = change.rsplit(",", 1)[0]
    others = pool.intents[int(rng.integers(len(pool.intents)))] if kind == "one intent" else pool.kinds[kind]
    where = rng.random(rows.shape) < CHANGES[change]
    where[:QUIET] = False
    return np.where(where, rng.choice(others, rows.shape), rows)


def delays(decider: Decider, feed: Feed, sketches: list[Sketch]) -> dict[str, float]:
    """Stream -> windows from the change to its crossing, inf without one."""
    waited: dict[str, float] = {}
    for minute, sketch in enumerate(sketches):
        absorb(decider, feed, BEGIN + MINUTE * minute, sketch)
        for step in decider.close_due(None):
            for v in step.verdicts:
                pages = v.stream in PAGING
                over = v.log10_evidence >= v.log10_threshold if pages else v.log10_ticket_evidence >= v.log10_ticket_threshold
                if np.isinf(waited.setdefault(v.stream, np.inf)) and over and minute >= QUIET:
                    waited[v.stream] = minute - QUIET + 1
    return waited


def measured(data: Path, given: Path | None, names: Sequence[str], runs: int, seed: int) -> Iterator[tuple[str, dict[str, Waited]]]:
    """Each change, and stream -> (R,) delays; ``first page``: of whichever stream that may page was first."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Bundle.load(given) if given else fitted(data, Path(folder))
        pool = make_pool(data, bundle)
    decider, feed = learned(pool, bundle, np.random.default_rng(seed))
    state, position = decider.snapshot(), feed.position
    for change in names:
        found = []
        for run in range(runs):
            again = fresh(bundle)
            again.restore(state)
            feed.position = position
            found.append(delays(again, feed, pool.sketches(changed(pool, change, np.random.default_rng([seed, run])))))
        waited = {stream: np.array([run[stream] for run in found]) for stream in found[0]}
        yield change, {FIRST: np.min([waited[stream] for stream in PAGING], axis=0), **waited}


def middle(waited: Waited) -> float:
    """Upper median, inf where half or more were missed."""
    return float(np.sort(waited)[waited.size // 2])


def kept(change: str, waited: dict[str, Waited]) -> bool:
    """Whether a change keeps its bars."""
    in_time = all(middle(waited[stream]) <= bar for (name, stream), bar in BARS.items() if name == change)
    return in_time and (CHANGES[change] < TENTH or bool(np.isfinite(middle(waited[FIRST]))))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds clinc_oos/")
    parser.add_argument("--bundle", type=Path, help="a bundle fitted on the train split before, without labels")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--change", choices=CHANGES, action="append")
    arguments = parser.parse_args()
    all_kept = True
    names = arguments.change or list(CHANGES)
    for number, (change, waited) in enumerate(measured(arguments.data, arguments.bundle, names, arguments.runs, arguments.seed)):
        if not number:
            print("| change | " + " | ".join(waited) + " | bar |\n|---|" + "---|" * (len(waited) + 1), flush=True)
        all_kept &= kept(change, waited)
        cells = " | ".join(f"{middle(one):.0f}" if np.isfinite(middle(one)) else "-" for one in waited.values())
        print(f"| {change} | {cells} | {'kept' if kept(change, waited) else 'MISSED'} |", flush=True)
    return int(not all_kept)


if __name__ == "__main__":
    sys.exit(main())
