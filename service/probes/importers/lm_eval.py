"""Results of lm-evaluation-harness: no items that could be asked, but counts to compare with."""

from collections.abc import Mapping
from typing import Any

from service.probes.importers.imported import Baseline, Draft
from service.probes.importers.look import Look


def matches(look: Look) -> bool:
    """A results file: metrics by task, and what they were counted over."""
    whole = look.whole
    if look.kind != "json" or not isinstance(whole, Mapping) or not isinstance(whole.get("results"), Mapping):
        return False
    return bool({"n-samples", "versions", "configs", "lm_eval_version", "n-shot", "higher_is_better"} & look.keys)


def read(look: Look, draft: Draft) -> None:
    """One baseline for each task and metric that is a share; averages over groups of tasks are left out, their tasks are there."""
    whole = look.whole
    groups = {name for name, tasks in (whole.get("group_subtasks") or {}).items() if tasks} | set(whole.get("groups") or {})
    for task, metrics in whole["results"].items():
        if task in groups or not isinstance(metrics, Mapping):
            continue
        samples = (whole.get("n-samples") or {}).get(task)
        n = samples.get("effective") if isinstance(samples, Mapping) else samples
        for name, value in metrics.items():
            metric = name.split(",")[0]
            if metric in ("alias", "sample_len") or metric.endswith("_stderr") or not name.strip():
                continue
            if not isinstance(n, int) or n <= 0:
                draft.disable(f"{task}-{name}", "the file does not say over how many samples (n-samples)")
            elif why := _unusable(value, (whole.get("higher_is_better") or {}).get(task), metric):
                draft.disable(f"{task}-{name}", why)
            else:
                draft.baseline.append(Baseline(task, name, n, round((1 - value) * n)))


def _unusable(value: Any, higher: Any, metric: str) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "no number"
    if isinstance(higher, Mapping) and higher.get(metric) is False:
        return "lower is better: no share of right answers"
    return None if 0 <= value <= 1 else "no share of right answers"
