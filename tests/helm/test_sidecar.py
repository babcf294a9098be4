"""The sidecar in somebody else's pod never holds up, slows down or takes out the model server: each rule, asserted on the rendered pod."""

import shutil
import time
from pathlib import Path

import httpx
import onnxruntime
import pytest
import yaml
from chaos.fleet import Fleet

from parts import helm
from parts.helm import of_kind, render
from service.config import Config, load
from service.encoder import session

SIDECARS = ("sidecar", "sidecar-sqlite")

each_sidecar = pytest.mark.parametrize("case", SIDECARS)


def container(case, *more):
    return helm.tiltmeter(helm.with_sidecar(render(case, *more)))


def configuration(case, folder, *more) -> Config:
    path = folder / "config.yaml"
    path.write_text(of_kind(render(case, *more), "ConfigMap")["tiltmeter-sidecar"]["data"]["config.yaml"])
    return load(path, {})


def environment(found):
    return {each["name"]: each.get("value") for each in found["env"]}


@each_sidecar
def test_it_is_a_native_sidecar_that_starts_first_and_the_server_is_untouched(case):
    spec = helm.with_sidecar(render(case))["spec"]
    assert spec["containers"] == helm.server()["spec"]["template"]["spec"]["containers"]
    names = [each["name"] for each in spec["initContainers"]]
    assert names[-2:] == ["tiltmeter", "download"]
    assert [each["name"] for each in spec["initContainers"] if each.get("restartPolicy") == "Always"] == ["tiltmeter"]
    assert helm.server()["spec"]["template"]["spec"]["volumes"][0] in spec["volumes"]


@each_sidecar
def test_no_readiness_and_no_startup_probe(case):
    assert {"readinessProbe", "startupProbe", "lifecycle"} & set(container(case)) == set()


@each_sidecar
def test_liveness_asks_only_whether_threads_live_and_waits_for_the_bundle(case):
    probe = container(case)["livenessProbe"]
    assert probe["httpGet"] == {"path": "/healthz", "port": "tiltmeter"}
    assert probe["initialDelaySeconds"] >= 60
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 120


@pytest.mark.slow
def test_healthz_of_the_rendered_configuration_needs_no_ledger(tmp_path):
    rendered = yaml.safe_load(of_kind(render("sidecar"), "ConfigMap")["tiltmeter-sidecar"]["data"]["config.yaml"])
    rendered["ledger"]["url"] = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    with Fleet(tmp_path, rendered) as fleet:
        sidecar = fleet.add("sidecar", container("sidecar")["args"][-1])
        fleet.wait_until_up()
        for _ in range(3):
            assert httpx.get(f"http://127.0.0.1:{sidecar.port}/healthz").status_code == 200
            time.sleep(0.5)
        ready = httpx.get(f"http://127.0.0.1:{sidecar.port}/readyz")
        assert ready.status_code == 503
        assert "ledger" in ready.json()["problems"]
        assert sidecar.starts == 1


def test_a_sqlite_ledger_stops_below_its_volume(tmp_path):
    volumes = {each["name"]: each for each in helm.with_sidecar(render("sidecar-sqlite"))["spec"]["volumes"]}
    limit = volumes["tiltmeter-state"]["emptyDir"]["sizeLimit"]
    assert limit.endswith("Mi")
    config = configuration("sidecar-sqlite", tmp_path)
    assert config.ledger.max_bytes is not None
    assert config.ledger.max_bytes < int(limit[:-2]) * 2**20
    assert config.ledger.url == "sqlite:////var/lib/tiltmeter/ledger.db"
    assert {"name": "tiltmeter-state", "mountPath": "/var/lib/tiltmeter"} in container("sidecar-sqlite")["volumeMounts"]
    # A full /tmp is an error of ours, not an eviction.
    assert volumes["tiltmeter-tmp"]["emptyDir"]["medium"] == "Memory"
    smaller = configuration("sidecar-sqlite", tmp_path, "--set", "sidecar.state.ledgerMiB=100")
    assert smaller.ledger.max_bytes == 100 * 2**20


@each_sidecar
def test_one_thread_on_the_cpu_that_does_not_spin(case, tmp_path, monkeypatch):
    compute = configuration(case, tmp_path).compute
    assert (compute.device, compute.threads) == ("cpu", 1)
    opened = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, options, providers: opened.append((options, providers)))
    session.open_session(Path("graph.onnx"), compute, session.choose_device(compute))
    ((options, providers),) = opened
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert providers == ["CPUExecutionProvider"]
    found = environment(container(case))
    assert {name: found[name] for name in found if name.endswith("_THREADS")} == {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "RAYON_NUM_THREADS": "1",
    }
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"
    assert not [name for name in container(case)["resources"].get("limits", {}) if "gpu" in name]


@each_sidecar
def test_it_asks_for_a_quarter_of_a_core_and_has_a_limit_of_memory(case):
    resources = container(case)["resources"]
    assert resources["requests"] == {"cpu": "250m", "memory": "512Mi"}
    assert resources["limits"] == {"memory": "1Gi"}


def test_prompts_are_posted_to_localhost_with_a_token(tmp_path):
    for more, port in ((), 9108), (("--set", "sidecar.port=9200"), 9200):
        config = configuration("sidecar", tmp_path, *more)
        assert config.source.kind == "http"
        # Prometheus and the kubelet come to the pod's address; what writes needs the token.
        assert (config.http.host, config.http.port) == ("0.0.0.0", port)
        found = container("sidecar", *more)
        assert found["ports"] == [{"name": "tiltmeter", "containerPort": port, "protocol": "TCP"}]
        assert "TILTMETER_TOKEN" in environment(found)


def test_the_sidecar_is_a_worker_and_one_deployment_decides_for_all():
    objects = render("sidecar")
    assert container("sidecar")["args"][-1] == "worker"
    assert "TILTMETER_INSTANCE" in environment(container("sidecar"))
    assert list(of_kind(objects, "Deployment")) == ["tiltmeter-decider"]
    assert container("sidecar-sqlite")["args"][-1] == "all"
    assert not of_kind(render("sidecar-sqlite"), "Deployment")


def test_a_gpu_of_its_own_is_an_option(tmp_path):
    found = container("sidecar", "--set", "gpu.enabled=true")
    assert found["resources"]["limits"] == {"memory": "1Gi", "nvidia.com/gpu": 1}
    assert found["image"].endswith("-gpu")
    assert configuration("sidecar", tmp_path, "--set", "gpu.enabled=true").compute.device == "cuda"


def test_metrics_of_the_sidecars_are_scraped_from_their_pods():
    objects = render("sidecar")
    (endpoint,) = of_kind(objects, "PodMonitor")["tiltmeter"]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == container("sidecar")["ports"][0]["name"]
    assert of_kind(objects, "PodMonitor")["tiltmeter"]["spec"]["selector"] == {"matchLabels": {"app": "vllm"}}
    assert {"action": "replace", "targetLabel": "job", "replacement": "tiltmeter"} in endpoint["relabelings"]


def test_a_changed_configuration_rolls_the_pods():
    def checksum(*more):
        return helm.with_sidecar(render("sidecar", *more))["metadata"]["annotations"]["checksum/tiltmeter"]

    assert checksum() == checksum("--set", "decider.replicas=3") != checksum("--set", "config.windows.length=30s")


def test_another_chart_includes_the_same(tmp_path):
    """The chart as a dependency: its named templates give what the patch has."""
    parent = tmp_path / "server"
    shutil.copytree(helm.CHART, parent / "charts" / "tiltmeter")
    (parent / "templates").mkdir()
    (parent / "Chart.yaml").write_text("{apiVersion: v2, name: server, version: 1.0.0}")
    values = yaml.safe_load(helm.CASES["sidecar"].read_text())
    (parent / "values.yaml").write_text(yaml.safe_dump({"tiltmeter": values}))
    (parent / "templates" / "pod.yaml").write_text(
        "kind: Pod\nmetadata: {name: server}\nspec:\n"
        '  initContainers:\n    {{- include "tiltmeter.sidecar.initContainers" .Subcharts.tiltmeter | nindent 4 }}\n'
        '  volumes:\n    {{- include "tiltmeter.sidecar.volumes" .Subcharts.tiltmeter | nindent 4 }}\n'
    )
    objects = render(None, chart=parent)
    spec = of_kind(objects, "Pod")["server"]["spec"]
    ours = helm.with_sidecar(objects)["spec"]
    assert spec["initContainers"] == ours["initContainers"][:-1]
    assert spec["volumes"] == ours["volumes"][:-1]
