"""The configuration that the chart renders is one that the service takes, each role has what it needs, and no more."""

import re
from pathlib import Path

import pytest
import yaml
from tiny_bundle import tiny_bundle
from typer.testing import CliRunner

from parts import helm
from parts.helm import CASES, Object, of_kind, render
from service.config import Config, kafka_options, load
from service.main import app, connect
from service.main.canaries import Canaries

ENVIRON = {"TILTMETER_CANARY_KEY": "k" * 32, "TILTMETER_KAFKA_PASSWORD": "p", "LIVE_KEY": "secret"}


def files(case: str, *more: str) -> dict[str, str]:
    """config.yaml by the name of its ConfigMap."""
    found = of_kind(render(case, *more), "ConfigMap")
    return {name: each["data"]["config.yaml"] for name, each in found.items() if "config.yaml" in each["data"]}


def read(folder: Path, text: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    return load(path, {})


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("fit"))


@pytest.mark.parametrize("case", CASES)
def test_it_loads_for_every_role(case, tmp_path):
    found = {name: read(tmp_path, text) for name, text in files(case).items()}
    assert found
    for config in found.values():
        assert (config.http.host, config.http.port) == ("0.0.0.0", 9108)
        assert all(str(model.bundle).startswith("/bundles/") for model in config.models.values())
        for url in (str(getattr(config.ledger, "url", "")), config.store):
            assert not url.startswith("sqlite") or url.startswith("sqlite:////var/lib/tiltmeter/")
    # What both sides must agree on is the same.
    first, *others = found.values()
    for name in ("source", "ledger", "store", "models", "windows", "budgets", "fields"):
        assert all(getattr(other, name) == getattr(first, name) for other in others)


@pytest.mark.parametrize("case", CASES)
def test_check_config_takes_it(case, tmp_path, bundle, monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    probes = of_kind(render(case), "ConfigMap").get("tiltmeter-probes", {"data": {}})["data"]
    for name, text in probes.items():
        (tmp_path / name).write_text(text)
    for name, text in files(case).items():
        here = yaml.safe_load(text.replace("/etc/tiltmeter-probes", str(tmp_path)))
        for model in here["models"].values():
            model["bundle"] = str(bundle)
            model.pop("shadow", None)  # another bundle; one is enough here
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(here))
        done = CliRunner().invoke(app, ["check-config", str(path)])
        assert done.exit_code == 0, done.output
        assert "secret" not in done.output


def test_the_init_step_fails_when_the_bundle_is_another_one(bundle):
    shown = CliRunner().invoke(app, ["bundle", "show", str(bundle)]).output
    digest = re.search("[0-9a-f]{64}", shown)
    assert digest is not None
    for given, status in ((digest[0], 0), ("0" * 64, 2)):
        objects = render("sqlite", "--set-string", f"bundles.digests.support-bot={given}")
        (step,) = helm.pod(objects, "tiltmeter")["spec"]["initContainers"]
        done = CliRunner().invoke(app, [word.replace("/bundles/support-bot", str(bundle)) for word in step["args"]])
        assert done.exit_code == status, done.output
        assert ("expected 000" in done.output) == (status == 2)


def secrets(container: Object) -> dict[str, tuple[str, str]]:
    taken = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in container.get("env", [])}
    return {name: (ref["name"], ref["key"]) for name, ref in taken.items() if ref}


def test_probes_are_for_deciders_alone(tmp_path):
    objects, configs = render("postgres"), files("postgres")
    worker, decider = (helm.tiltmeter(helm.pod(objects, f"tiltmeter-{role}")) for role in ("worker", "decider"))
    assert decider["envFrom"] == [{"secretRef": {"name": "probes"}}]
    assert "envFrom" not in worker
    assert "/etc/tiltmeter-probes" in {mount["mountPath"] for mount in decider["volumeMounts"]}
    assert "/etc/tiltmeter-probes" not in {mount["mountPath"] for mount in worker["volumeMounts"]}
    assert set(of_kind(objects, "ConfigMap")["tiltmeter-probes"]["data"]) == {"support.txt", "ours.yaml"}
    for word in ("key_env", "packs", "gates", "system_prompt_file"):
        assert word in configs["tiltmeter-decider"]
        assert word not in configs["tiltmeter-worker"]


def test_workers_still_know_our_own_probes_when_they_come_back(tmp_path, monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    config = read(tmp_path, files("postgres")["tiltmeter-worker"])
    assert connect.returns(config) is not None
    assert set(config.targets) == {"live", "base"}
    worker = helm.tiltmeter(helm.pod(render("postgres"), "tiltmeter-worker"))
    assert secrets(worker)["TILTMETER_CANARY_KEY"] == ("tiltmeter", "canary")


def test_the_decider_asks_what_is_configured(tmp_path, monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    for name, text in of_kind(render("postgres"), "ConfigMap")["tiltmeter-probes"]["data"].items():
        (tmp_path / name).write_text(text)
    config = read(tmp_path, files("postgres")["tiltmeter-decider"].replace("/etc/tiltmeter-probes", str(tmp_path)))
    canaries = Canaries.load(config)
    assert "ours/returns" in {watch.suite_name for watch in canaries.watches}
    assert canaries.keys["targets.live"] == "secret"
    assert canaries.prompts["live"] == "You are the support assistant of Fernhill."


def test_a_change_of_probes_restarts_deciders_only():
    def checksums(*more):
        objects = render("postgres", *more)
        names = ("tiltmeter-worker", "tiltmeter-decider")
        return [{k: v for k, v in helm.pod(objects, n)["metadata"]["annotations"].items() if "checksum" in k} for n in names]

    before = checksums()
    for change in ("config.targets.live.rate.per_minute=5", "probes.files.support\\.txt=Other.", "config.gates.release.fewest=10"):
        worker, decider = checksums("--set", change)
        assert worker == before[0]
        assert decider != before[1]
    assert checksums("--set", "config.windows.length=30s")[0] != before[0]


def test_secrets_are_named_and_never_written():
    worker = helm.tiltmeter(helm.pod(render("kafka"), "tiltmeter-worker"))
    assert secrets(worker) == {
        "TILTMETER_TOKEN": ("tiltmeter", "token"),
        "TILTMETER_KAFKA_PASSWORD": ("kafka-user", "password"),
        "TILTMETER_KAFKA_KEY_PASSWORD": ("kafka-tls", "user.password"),
        "TILTMETER_STORE_PASSWORD": ("postgres", "password"),
    }
    # One URL, one password.
    shared = secrets(helm.tiltmeter(helm.pod(render("postgres"), "tiltmeter-worker")))
    assert shared["TILTMETER_STORE_PASSWORD"] == shared["TILTMETER_LEDGER_PASSWORD"] == ("postgres", "password")


def test_kafka_over_tls_finds_its_certificates(tmp_path):
    for text in files("kafka").values():
        config = read(tmp_path, text)
        for settings in (config.source, config.ledger):
            options = kafka_options(settings, ENVIRON)
            assert (options["security_protocol"], options["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
            assert [options[f"ssl_{name}file"] for name in ("ca", "cert", "key")] == [
                f"/etc/tiltmeter-tls/{name}" for name in ("ca.crt", "user.crt", "user.key")
            ]
    spec = helm.pod(render("kafka"), "tiltmeter-worker")["spec"]
    assert next(v for v in spec["volumes"] if v["name"] == "kafka-tls")["secret"]["secretName"] == "kafka-tls"
    assert "/etc/tiltmeter-tls" in {
        mount["mountPath"] for mount in helm.tiltmeter(helm.pod(render("kafka"), "tiltmeter-worker"))["volumeMounts"]
    }


def test_large_numbers_and_odd_texts_arrive_as_they_were(tmp_path):
    (text,) = files(
        "sqlite", "--set", "config.source.max_body_bytes=1234567890", "--set-string", "config.models.support-bot.owner=no"
    ).values()
    config = read(tmp_path, text)
    assert config.source.max_body_bytes == 1234567890
    assert config.models["support-bot"].owner == "no"
