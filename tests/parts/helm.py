"""The real helm over the chart: rendered objects, refusals, and a pod of somebody else's with the sidecar in it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from parts import require

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "tiltmeter"
CASES = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}

Object = dict[str, Any]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm; skips the test where there is none."""
    found = shutil.which("helm", path=f"{ROOT / '.parts' / 'bin'}:{os.environ['PATH']}")
    if found is None:
        require.lacking("helm", "no helm on the path nor in .parts/bin: run `make parts` (needs Go)")
    return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60)


@lru_cache
def _text(case: str | None, more: tuple[str, ...], version: str, chart: Path) -> str:
    values = ("--values", str(CASES[case])) if case else ()
    done = run("template", "release", str(chart), "--namespace", "monitoring", "--kube-version", version, *values, *more)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def render(case: str | None, *more: str, version: str = "1.33.0", chart: Path = CHART) -> list[Object]:
    """Every object of a case of ci/, with further arguments. The same call is answered from memory."""
    return [document for document in yaml.safe_load_all(_text(case, more, version, chart)) if document]


def refused(case: str | None, *more: str, version: str = "1.33.0") -> str:
    """What helm says when it must not render."""
    values = ("--values", str(CASES[case])) if case else ()
    done = run("template", "release", str(CHART), "--namespace", "monitoring", "--kube-version", version, *values, *more)
    assert done.returncode != 0, done.stdout
    return done.stderr


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """The objects of one kind, by name without the release's."""
    return {each["metadata"]["name"].removeprefix("release-"): each for each in objects if each["kind"] == kind}


def pod(objects: Sequence[Object], name: str) -> Object:
    """The pod template of a Deployment."""
    template: Object = of_kind(objects, "Deployment")[name]["spec"]["template"]
    return template


def server() -> Object:
    """A model server's Deployment, as somebody else has it."""
    container = {"name": "vllm", "image": "vllm/vllm-openai:v0.11.0", "ports": [{"name": "http", "containerPort": 8000}]}
    first = {"name": "download", "image": "images.example/models:1"}
    spec = {"containers": [container], "initContainers": [first], "volumes": [{"name": "config", "emptyDir": {}}]}
    template = {"metadata": {"labels": {"app": "vllm"}}, "spec": spec}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "vllm", "namespace": "monitoring"}}
    return {**head, "spec": {"selector": {"matchLabels": {"app": "vllm"}}, "template": template}}


def patched(target: Object, patch: Mapping[str, Any]) -> Object:
    """A strategic merge as Kubernetes does it here: mappings are merged, lists of named things are merged by name."""
    merged: Object = dict(target)
    for key, value in patch.items():
        there = merged.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            merged[key] = patched(dict(there), value)
        elif isinstance(value, list) and isinstance(there, list):
            new = {each["name"]: each for each in value}
            kept = [patched(each, new.pop(each["name"])) if each["name"] in new else each for each in there]
            # Kubernetes puts what is new before what is there.
            merged[key] = [*new.values(), *kept]
        else:
            merged[key] = value
    return merged


def with_sidecar(objects: Sequence[Object]) -> Object:
    """The pod of the model server, patched with what the chart offers."""
    patch = yaml.safe_load(of_kind(objects, "ConfigMap")["tiltmeter-patch"]["data"]["patch.yaml"])
    template: Object = patched(server(), patch)["spec"]["template"]
    return template


def containers(template: Object) -> Iterator[Object]:
    """Every container of a pod template that is ours."""
    for each in [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]:
        if each["name"] not in ("vllm", "download"):
            yield each


def tiltmeter(template: Object) -> Object:
    """The service's container."""
    return next(each for each in containers(template) if each["name"] == "tiltmeter")
