"""Probes from other tools: what can be asked and graded becomes a pack, what cannot is listed and disabled, never passed."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from service.errors import ConfigError, DataError
from service.probes.importers import evals, garak, lm_eval, promptfoo, tables
from service.probes.importers.imported import Baseline, Disabled, Draft, Imported
from service.probes.importers.look import Look, look
from service.probes.pack import SCHEMA
from service.records.probes import Kind

__all__ = ["FORMS", "Baseline", "Disabled", "Form", "Imported", "import_file"]


class Form(NamedTuple):
    """A form of file: its name for people, how it is told, how it is read."""

    title: str
    matches: Callable[[Look], bool]
    read: Callable[[Look, Draft], None]


FORMS: Mapping[str, Form] = {
    "promptfoo": Form("a promptfoo configuration", promptfoo.matches, promptfoo.read),
    "garak": Form("a garak report", garak.matches, garak.read),
    "evals-registry": Form("a registry file of OpenAI evals", evals.is_registry, evals.registry),
    "evals-samples": Form("samples of OpenAI evals", evals.is_samples, evals.samples),
    "lm-eval": Form("results of lm-evaluation-harness", lm_eval.matches, lm_eval.read),
    "harmbench": Form("behaviours of HarmBench", tables.is_harmbench, tables.harmbench),
    "jailbreakbench": Form("behaviours of JailbreakBench", tables.is_jailbreakbench, tables.jailbreakbench),
    "xstest": Form("prompts of XSTest", tables.is_xstest, tables.xstest),
    "advbench": Form("AdvBench", tables.is_advbench, tables.advbench),
    "plain": Form("rows with id, prompt or messages, expected, category", tables.is_plain, tables.plain),
}
"""Every form that is read, in the order in which a file is compared with them."""


def import_file(path: Path, form: str | None = None, kind: Kind | None = None) -> Imported:
    """Read a file of another tool.

    Args:
        path: the file.
        form: a key of :data:`FORMS`; None takes the first one that fits.
        kind: of every suite, instead of what the form suggests.

    Raises:
        ConfigError: no such form.
        DataError: the file cannot be read, or is of another form; says what it looks like.
    """
    if form is not None and form not in FORMS:
        close = difflib.get_close_matches(form, FORMS, n=1, cutoff=0.5)
        raise ConfigError(f"form '{form}': unknown; {f'did you mean {close[0]!r}? ' if close else ''}expected: {', '.join(FORMS)}")
    seen = look(path)
    likely = next((name for name, known in FORMS.items() if known.matches(seen)), None)
    if isinstance(seen.whole, Mapping) and seen.whole.get("schema") == SCHEMA:
        raise DataError(f"{path}: is a pack already; name it in probes.packs")
    if form is None and likely is None:
        raise DataError(f"{path}: looks like {seen.described()}; expected one of the forms {', '.join(FORMS)}")
    if form is not None and not FORMS[form].matches(seen):
        looks = f"{FORMS[likely].title} (form {likely})" if likely else seen.described()
        raise DataError(f"{path}: is not {FORMS[form].title}; it looks like {looks}")
    name = form or str(likely)
    draft = Draft(path, name, kind)
    FORMS[name].read(seen, draft)
    found = draft.done(f"Imported from {FORMS[name].title}: {path.name}")
    if found.pack is None and not found.baseline:
        reasons = "; ".join(dict.fromkeys(one.why for one in found.disabled[:50])) or "the file holds no items"
        raise DataError(f"{path}: nothing of it can be used: {reasons[:500]}")
    return found
