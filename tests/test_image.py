"""Dockerfile and compose.yaml, read as text: no container engine is needed to see that they say what they should."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from parts.require import lacking
from service.config import load

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())


def _stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage name, continuation lines joined; the first element of each is its FROM."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    stages: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            current = stages.setdefault(rest.split(" AS ")[1], [])
        current.append((word, rest))
    return stages


STAGES = _stages()


def _whole(target: str) -> list[tuple[str, str]]:
    """Instructions of a target and of the stages it stands on."""
    own = STAGES[target]
    parent = own[0][1].split(" AS ")[0]
    return (_whole(parent) if parent in STAGES else []) + own


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_target_runs_as_nobody_and_is_watched(target: str) -> None:
    instructions = _whole(target)
    assert instructions[-1] == ("USER", "10001:10001")
    assert any(word == "HEALTHCHECK" and "/healthz" in rest for word, rest in instructions)
    assert ("ENTRYPOINT", '["tiltmeter"]') in instructions
    assert ("EXPOSE", "9108") in instructions
    assert not any(word == "ADD" for word, _ in instructions)


def test_base_is_an_argument_without_a_default() -> None:
    assert "\nARG BASE\n" in (ROOT / "Dockerfile").read_text()
    roots = {rest.split(" AS ")[0] for stage in STAGES.values() for word, rest in stage if word == "FROM"} - set(STAGES)
    assert roots == {"${BASE}"}


@pytest.mark.parametrize("name", ["cpu", "gpu", "base", "setup"])
def test_no_torch_and_every_package_hashed(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    packages = [line.split("==")[0] for line in text.splitlines() if re.match(r"[a-z]", line)]
    assert not {"torch", "sentence-transformers", "evidently", "pandas"} & set(packages)
    for entry in re.split(r"\n(?=[a-z])", text)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in text
    assert ("onnxruntime-gpu" in packages) == (name != "cpu")


def test_files_copied_exist_and_are_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for word, rest in (instruction for stage in STAGES.values() for instruction in stage):
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert source == "README.md" or (ROOT / source).exists(), source
                assert f"!{source}" in ignored or f"!{Path(source).parent}/*{Path(source).suffix}" in ignored, source


def test_compose_configuration_loads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(COMPOSE["configs"]["tiltmeter"]["content"])
    config = load(path, {"TILTMETER_CANARY_KEY": "0123456789abcdef"})
    assert config.source.kind == "kafka"
    assert config.targets["live"].url == "http://toy:8000/v1"
    assert config.http.host == "0.0.0.0"


def test_compose_mounts_exist_and_pods_are_locked_down() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and source != "./bundle":
                assert (ROOT / source).exists(), source
    tiltmeter = COMPOSE["services"]["tiltmeter"]
    assert tiltmeter["read_only"] is True
    assert tiltmeter["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for service in COMPOSE["services"].values() for port in service.get("ports", []))


def test_what_compose_needs_from_outside_is_named_in_its_head() -> None:
    text = (ROOT / "compose.yaml").read_text()
    for variable in set(re.findall(r"\$\{(\w+):\?", text)):
        assert f"{variable}=" in text.split("services:")[0], variable


def _inside(service: str) -> dict[str, Path]:
    """What a container sees of the repository."""
    volumes = [volume.split(":") for volume in COMPOSE["services"][service].get("volumes", [])]
    return {target: ROOT / source for source, target, *_ in volumes if source.startswith("./")}


def test_what_the_toy_and_its_users_run_is_mounted() -> None:
    toy, traffic = COMPOSE["services"]["toy"], COMPOSE["services"]["traffic"]
    folder = _inside("toy")["/opt/examples"]
    for module in ("tapped_toy", "asgi_middleware", "kafka_producer", "tiltmeter_sender", "tiltmeter_record"):
        assert (folder / "taps" / f"{module}.py").is_file()
    assert toy["entrypoint"][toy["entrypoint"].index("--app-dir") + 1] == "/opt/examples/taps"
    for argument in traffic["entrypoint"]:
        if argument.startswith("/opt/"):
            assert (ROOT / argument.removeprefix("/opt/")).is_file(), argument


def _ours(url: str) -> bool:
    """Whether a URL inside the network names a service and a port that it opens."""
    host, _, port = url.removeprefix("http://").split("/")[0].partition(":")
    return any(published.endswith(f":{port}") for published in COMPOSE["services"][host]["ports"])


def test_grafana_finds_its_datasources_and_dashboards() -> None:
    provisioning = _inside("grafana")["/etc/grafana/provisioning"]
    sources = [source for file in provisioning.glob("datasources/*.yaml") for source in yaml.safe_load(file.read_text())["datasources"]]
    assert {source["type"] for source in sources} == {"prometheus", "alertmanager"}
    assert sum(source.get("isDefault", False) for source in sources) == 1
    for source in sources:
        assert source.keys() <= {"name", "uid", "type", "access", "url", "isDefault", "jsonData"}
        assert source["uid"]
        assert _ours(source["url"]), source["url"]
    for file in provisioning.glob("**/*.yaml"):
        assert yaml.safe_load(file.read_text())["apiVersion"] == 1
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "tiltmeter.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert list(_inside("grafana")[provider["options"]["path"]].glob("*.json"))
    scrape = yaml.safe_load((ROOT / "dashboards" / "prometheus" / "prometheus.yaml").read_text())["global"]["scrape_interval"]
    assert next(source["jsonData"]["timeInterval"] for source in sources if source["type"] == "prometheus") == scrape


def test_prometheus_scrapes_and_alerts_services_that_are_there() -> None:
    config = yaml.safe_load(_inside("prometheus")["/etc/prometheus/prometheus.yml"].read_text())
    targets = [job["static_configs"][0]["targets"][0] for job in (*config["scrape_configs"], *config["alerting"]["alertmanagers"])]
    assert targets == ["tiltmeter:9108", "alertmanager:9093"]
    assert all(_ours(target) for target in targets)
    (pattern,) = config["rule_files"]
    folder, _, files = pattern.rpartition("/")
    assert list(_inside("prometheus")[folder].glob(files))


ROUTES = [
    ({"alertname": "TiltmeterDrift", "severity": "critical", "owner": "assistant-team"}, "pager"),
    ({"alertname": "TiltmeterDrift", "severity": "warning", "owner": "assistant-team"}, "assistant-team"),
    ({"alertname": "TiltmeterDown", "severity": "warning"}, "tickets"),
    ({"alertname": "TiltmeterWatchdog", "severity": "none"}, "dead-man"),
    ({"alertname": "SomebodyElses", "severity": "critical"}, "tickets"),
]


def _amtool(*arguments: str) -> str:
    amtool = shutil.which("amtool")
    if amtool is None:
        lacking("alertmanager", "no amtool on the path (Debian: prometheus-alertmanager)")
    done = subprocess.run([amtool, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_configuration_is_valid_and_routes_by_severity_and_owner() -> None:
    file = str(_inside("alertmanager")["/etc/alertmanager/alertmanager.yml"])
    _amtool("check-config", file)
    for labels, receiver in ROUTES:
        said = _amtool("config", "routes", "test", f"--config.file={file}", *(f"{name}={value}" for name, value in labels.items()))
        assert said.strip() == receiver, labels


def test_prometheus_configuration_is_valid(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        lacking("prometheus", "no promtool on the path (Debian: prometheus)")
    config = yaml.safe_load((ROOT / "dashboards" / "prometheus" / "prometheus.yaml").read_text())
    assert config["scrape_configs"][0]["job_name"] == "tiltmeter"
    config["rule_files"] = [str(ROOT / "dashboards" / "rules" / "*.yaml")]
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    done = subprocess.run([promtool, "check", "config", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
