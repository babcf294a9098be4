"""Prompts that come otherwise than the rows of the fine-tuning set are a data problem from the first hour on."""

from dataclasses import replace

import numpy as np
import pytest
from decider_log import START, Log, settings, watched

from detectors.sketch import LENGTHS, Sketch
from service.bundle import Extraction, Manifest
from service.decider.decider import Decider
from service.fit.extraction import extraction
from service.language import LANGUAGES, languages
from service.main import adapt
from service.main.extraction import differences

ASKED = ["how do I pay my bill", "what is the balance of my account", "wie kann ich zahlen"] * 20
TOKENS = np.full(len(ASKED), 7, np.int32)


def manifest(made: Extraction | None = None, truncated: float = 0.0) -> Manifest:
    return Manifest.model_construct(extraction=made or extraction(ASKED, TOKENS), truncated=truncated)


def seen(texts: list[str], tokens: int = 7, truncated: int = 0) -> Sketch:
    n = len(texts)
    lengths = np.zeros(LENGTHS, np.int64)
    lengths[np.searchsorted([4, 6, 8, 12, 16, 24, 32, 48], tokens)] = n
    spoken = np.bincount(languages(texts), minlength=len(LANGUAGES)).astype(np.int64)
    nothing = np.zeros(0, np.int64)
    return Sketch(n, 0, 0, truncated, tokens * n, n, np.zeros(15, np.int64), nothing, lengths, spoken, nothing)


def test_rows_are_counted_as_prompts_are() -> None:
    made = extraction(ASKED, TOKENS)
    assert made.languages == {"english": 0.6667, "german": 0.3333}
    assert made.lengths[2] == 1.0


def test_prompts_like_the_rows_differ_in_nothing() -> None:
    assert differences(manifest(), seen(ASKED * 30)) == ""


def test_a_few_prompts_are_no_difference() -> None:
    assert differences(manifest(), seen(["<|im_start|>user"] * 4)) == ""


def test_template_markers_lengths_and_truncation_are_named_the_largest_first() -> None:
    wrapped = [f"<|im_start|>user\n{text}<|im_end|>" for text in ASKED * 30]
    told = differences(manifest(), seen(wrapped, tokens=30, truncated=600))
    assert told.startswith("Looks like a data problem, not drift: ")
    assert "100.0% in no known language or in markup (fine-tuning set 0.00%)" in told
    assert "100.0% of 25 to 32 tokens (fine-tuning set 0.00%)" in told
    assert told.count("fine-tuning set ") == 3
    assert "33.3% cut off (fine-tuning set 0.00%)" in differences(manifest(), seen(ASKED * 30, truncated=600))


def test_a_set_in_markup_and_prompts_without_it_are_named_too() -> None:
    made = extraction(["### Instruction: pay my bill"] * 60, TOKENS)
    assert "0.00% in no known language or in markup (fine-tuning set 100.0%)" in differences(manifest(made), seen(ASKED * 30))


def test_an_older_bundle_and_no_prompts_say_nothing() -> None:
    assert differences(Manifest.model_construct(extraction=None, truncated=0.0), seen(ASKED * 30, truncated=1000)) == ""
    assert differences(manifest(), seen([])) == ""


@pytest.mark.parametrize("accepted", [False, True])
def test_the_page_says_it_until_a_baseline_is_accepted(accepted: bool) -> None:
    config = settings(detection={"first_contact": {"duration": 3600, "prompts": 2000}})
    decider, log = Decider(watched(), config), Log()
    decider.absorb(
        log.delta(START, replace(seen(ASKED * 30, truncated=900), topics=np.array([1800, 0, 0, 0, 0]))).report(START + 90).drain()
    )
    if accepted:
        decider.absorb(log.command("baseline.accept", model="bot", reason="a trial", anyway=True).drain())
    decider.close_due(None)
    shown = decider.picture(active=True, now=START)
    process = adapt.Process("decider", "one", 0.0, "active", manifests={shown.models[0].bundle: manifest()})
    [card] = adapt.status(config, process, shown, None, START).models
    assert card.note.startswith("Looks like a data problem, not drift: ") is not accepted
    assert "50.0% cut off" in card.note or accepted
