"""Results of probes as JUnit XML, which every CI system shows. Names and outcomes only: never what was asked or answered."""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from service.errors import ConfigError
from service.records.probes import ProbeResult, Round


def write_junit(path: Path, results: Sequence[ProbeResult], rounds: Sequence[Round]) -> None:
    """One test suite for each suite and target, one test case for each answer of the live model. Raises ConfigError."""
    root = ElementTree.Element("testsuites", name="tiltmeter probe")
    for round in rounds:
        mine = [result for result in results if result.role == round.role and _same(result, round)]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=f"{round.target}/{round.suite}",
            tests=str(max(round.items, len(mine))),
            failures=str(sum(result.outcome == "fail" for result in mine)),
            errors=str(sum(result.outcome == "error" for result in mine)),
            skipped=str(sum(result.outcome == "unscored" for result in mine)),
            time=f"{round.ended - round.started:.3f}",
        )
        for result in sorted(mine, key=lambda each: (each.category, each.item, each.variant, each.group, each.repeat)):
            _case(suite, result)
        if not round.complete:
            case = ElementTree.SubElement(suite, "testcase", classname=round.suite, name="round is complete", time="0")
            ElementTree.SubElement(case, "error", message=f"inconclusive: {round.reason}", type="inconclusive")
    tree = ElementTree.ElementTree(root)
    ElementTree.indent(tree)
    try:
        tree.write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise ConfigError(f"--junit: {path} cannot be written: {error.strerror}") from None


def _same(result: ProbeResult, round: Round) -> bool:
    place = (result.target, result.suite) == (round.target, round.suite)
    return place and (result.round == round.id or f"{result.round}#{result.model_reported}" == round.id)


def _case(suite: ElementTree.Element, result: ProbeResult) -> None:
    name = " ".join(part for part in (result.item, result.variant, result.group, f"#{result.repeat}" if result.repeat else "") if part)
    seconds = result.seconds if math.isfinite(result.seconds) else 0.0
    case = ElementTree.SubElement(suite, "testcase", classname=f"{result.suite}.{result.category}", name=name, time=f"{seconds:.3f}")
    if result.outcome == "fail":
        ElementTree.SubElement(case, "failure", message=result.failure or "bad", type=result.failure or "bad")
    elif result.outcome == "error":
        ElementTree.SubElement(case, "error", message=result.error or "error", type=result.error or "error")
    elif result.outcome == "unscored":
        ElementTree.SubElement(case, "skipped", message="no grader could tell")
