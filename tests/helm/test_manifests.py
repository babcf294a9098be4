"""Every case of ci/ as the real helm renders it: valid for several versions of Kubernetes, locked down, and its parts fit together."""

import jsonschema
import kubernetes_validate
import pytest

from operator_kinds import KINDS
from parts import helm
from parts.helm import CASES, of_kind, render

ADDED_IN = {"postgres": "1.31", "sidecar": "1.29", "sidecar-sqlite": "1.29"}
VERSIONS = ("1.28", "1.29", "1.31", "1.34", "1.37")
BOTH = [(case, version) for case in CASES for version in VERSIONS if version >= ADDED_IN.get(case, "")]
SECURE = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
SAFE_VOLUMES = {"name", "configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret", "image"}

every_case = pytest.mark.parametrize("case", CASES)


def pods(case):
    """Every pod template that holds a container of ours."""
    objects = render(case)
    found = [each["spec"]["template"] for each in of_kind(objects, "Deployment").values()]
    return [*found, helm.with_sidecar(objects)] if case.startswith("sidecar") else found


def test_there_is_a_case_for_each_mode_and_ledger():
    assert set(CASES) == {"sqlite", "kafka", "postgres", "sidecar", "sidecar-sqlite"}


@pytest.mark.parametrize("case", [None, *CASES])
def test_lint_finds_nothing(case):
    values = ("--values", str(CASES[case])) if case else ()
    done = helm.run("lint", "--strict", "--kube-version", "1.33.0", str(helm.CHART), *values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout + done.stderr
    assert "[ERROR]" not in done.stdout + done.stderr


@pytest.mark.parametrize(("case", "version"), BOTH)
def test_objects_are_valid(case, version):
    objects = render(case, version=f"{version}.0")
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)
    for each in objects:
        if each["kind"] in KINDS:
            jsonschema.Draft202012Validator(KINDS[each["kind"]]).validate(each)
        else:
            kubernetes_validate.validate(each, version, strict=True)
        assert each["metadata"]["namespace"] == "monitoring"
    if case.startswith("sidecar"):
        kubernetes_validate.validate(
            {**helm.server(), "spec": {**helm.server()["spec"], "template": helm.with_sidecar(objects)}}, version, strict=True
        )


def test_the_package_holds_all_that_is_rendered(tmp_path):
    done = helm.run("package", str(helm.CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.iterdir()
    assert render("kafka", chart=package) == render("kafka")


def test_the_operators_kinds_are_checked_for_typos():
    monitor = of_kind(render("kafka"), "ServiceMonitor")["tiltmeter"]
    spec = {**monitor["spec"], "endpoints": [{**monitor["spec"]["endpoints"][0], "scrapeTimout": "10s"}]}
    with pytest.raises(jsonschema.ValidationError, match="scrapeTimout"):
        jsonschema.Draft202012Validator(KINDS["ServiceMonitor"]).validate({**monitor, "spec": spec})


@every_case
def test_pods_keep_to_the_restricted_standard(case):
    found = pods(case)
    assert found
    for template in found:
        spec = template["spec"]
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in helm.containers(template):
            assert container["securityContext"] == SECURE, container["name"]
            assert all("hostPort" not in port for port in container.get("ports", []))
        ours = {mount["name"] for container in helm.containers(template) for mount in container["volumeMounts"]}
        for volume in spec["volumes"]:
            assert set(volume) <= SAFE_VOLUMES
        # Writable are the state, /tmp and where bundles are fetched to; everything that is mounted is there.
        assert ours <= {volume["name"] for volume in spec["volumes"]}
        writable = {m["mountPath"] for m in helm.tiltmeter(template)["volumeMounts"] if not m.get("readOnly")}
        assert writable == {"/var/lib/tiltmeter", "/tmp"}


@every_case
def test_our_own_pods_have_no_token_of_the_cluster(case):
    for deployment in of_kind(render(case), "Deployment").values():
        spec = deployment["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@every_case
def test_selectors_find_their_pods_and_no_others(case):
    objects = render(case)
    labels = {name: each["spec"]["template"]["metadata"]["labels"] for name, each in of_kind(objects, "Deployment").items()}
    for name, deployment in of_kind(objects, "Deployment").items():
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert "helm.sh/chart" not in selector
        assert [other for other in labels if selector.items() <= labels[other].items()] == [name]
        for spread in deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"] == selector
    selectors = [each["spec"]["selector"] for each in of_kind(objects, "Service").values()]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind(objects, "PodDisruptionBudget").values()]
    for selector in selectors:
        assert sum(selector.items() <= each.items() for each in labels.values()) == 1
    for policy in of_kind(objects, "NetworkPolicy").values():
        assert all(policy["spec"]["podSelector"]["matchLabels"].items() <= each.items() for each in labels.values())


def test_roles_by_mode_and_ledger():
    found = {
        case: {
            name: (helm.tiltmeter(each["spec"]["template"])["args"][-1], each["spec"]["replicas"], each["spec"]["strategy"]["type"])
            for name, each in of_kind(render(case), "Deployment").items()
        }
        for case in CASES
    }
    assert found == {
        "sqlite": {"tiltmeter": ("all", 1, "Recreate")},
        "kafka": {"tiltmeter-worker": ("worker", 3, "RollingUpdate"), "tiltmeter-decider": ("decider", 2, "RollingUpdate")},
        "postgres": {"tiltmeter-worker": ("worker", 2, "RollingUpdate"), "tiltmeter-decider": ("decider", 2, "RollingUpdate")},
        "sidecar": {"tiltmeter-decider": ("decider", 2, "RollingUpdate")},
        "sidecar-sqlite": {},
    }


@pytest.mark.parametrize("case", ["sqlite", "kafka", "postgres"])
def test_probes_of_deployments_and_time_to_end(case):
    for deployment in of_kind(render(case), "Deployment").values():
        spec = deployment["spec"]["template"]["spec"]
        container = spec["containers"][0]
        assert container["livenessProbe"]["httpGet"] == container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert container["ports"] == [{"name": "http", "containerPort": 9108, "protocol": "TCP"}]
        # 5 s to be taken out of service, 20 s for open requests, 40 s for the last flush (service.main).
        assert spec["terminationGracePeriodSeconds"] >= 65
        assert ("lifecycle" in container) == (case != "kafka")


def test_gpu_is_for_those_who_score():
    worker, decider = (helm.pod(render("kafka"), f"tiltmeter-{role}") for role in ("worker", "decider"))
    assert helm.tiltmeter(worker)["resources"] == {"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"nvidia.com/gpu": 1}}
    assert worker["spec"]["runtimeClassName"] == "nvidia"
    assert helm.tiltmeter(worker)["image"] == "images.example/tiltmeter:0.1.0-gpu"
    assert "runtimeClassName" not in decider["spec"]
    assert "limits" not in helm.tiltmeter(decider)["resources"]
    assert helm.tiltmeter(decider)["image"].startswith("images.example/tiltmeter@sha256:")


def test_fetched_bundles_are_checked_before_anything_starts():
    for role in ("worker", "decider"):
        spec = helm.pod(render("kafka"), f"tiltmeter-{role}")["spec"]
        fetch, check = spec["initContainers"]
        assert fetch["image"] == "images.example/oras:1"
        assert fetch["volumeMounts"][0] == {"name": "bundles", "mountPath": "/bundles"}
        assert check["args"][:2] == ["bundle", "verify"]
        assert {pair.split("=")[0] for pair in check["args"][2:]} == {"/bundles/support-bot", "/bundles/next"}
        assert next(v for v in spec["volumes"] if v["name"] == "bundles")["emptyDir"] == {"sizeLimit": "2Gi"}


def test_where_bundles_come_from():
    def volume(case, *more):
        spec = helm.pod(render(case, *more), "tiltmeter")["spec"]
        return next(v for v in spec["volumes"] if v["name"] == "bundles")

    assert volume("sqlite") == {"name": "bundles", "persistentVolumeClaim": {"claimName": "bundles", "readOnly": True}}
    other = ("--set", "bundles.existingClaim=", "--set-json")
    assert volume("sqlite", *other, 'bundles.image.reference="i@sha256:0"')["image"]["reference"] == "i@sha256:0"
    assert volume("sqlite", *other, 'bundles.volume={"hostPath": {"path": "/srv"}}')["hostPath"] == {"path": "/srv"}


def test_state_is_kept_where_asked():
    spec = helm.pod(render("sqlite"), "tiltmeter")["spec"]
    assert next(v for v in spec["volumes"] if v["name"] == "state")["persistentVolumeClaim"] == {"claimName": "release-tiltmeter"}
    assert of_kind(render("sqlite"), "PersistentVolumeClaim")["tiltmeter"]["spec"]["resources"] == {"requests": {"storage": "5Gi"}}
    short = render("sqlite", "--set", "persistence.enabled=false")
    assert not of_kind(short, "PersistentVolumeClaim")
    alone = ("--set", "config.store=sqlite:////var/lib/tiltmeter/history.db,persistence.enabled=true,decider.replicas=1")
    deciders = of_kind(render("postgres", *alone), "Deployment")["tiltmeter-decider"]["spec"]
    assert (deciders["replicas"], deciders["strategy"]) == (1, {"type": "Recreate"})


def test_network_policy_names_who_may_come():
    spec = of_kind(render("kafka"), "NetworkPolicy")["tiltmeter"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]
    assert {"podSelector": {"matchLabels": {"app": "gateway"}}} in rule["from"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in rule["from"]
    assert not of_kind(render("postgres"), "NetworkPolicy")


def test_budgets_let_one_pod_go_at_a_time():
    budgets = of_kind(render("kafka"), "PodDisruptionBudget")
    assert {name: each["spec"]["maxUnavailable"] for name, each in budgets.items()} == {"tiltmeter-worker": 1, "tiltmeter-decider": 1}
    assert not of_kind(render("sqlite"), "PodDisruptionBudget")
    # helm keeps a default mapping unless it is set to null.
    assert set(of_kind(render("kafka", "--set", "worker.podDisruptionBudget=null"), "PodDisruptionBudget")) == {"tiltmeter-decider"}


def test_long_names_stay_valid_and_different():
    objects = render("kafka", "--set", f"fullnameOverride={'x' * 63}")
    names = [each["metadata"]["name"] for each in objects]
    assert max(map(len, names)) <= 63
    assert len({(each["kind"], each["metadata"]["name"]) for each in objects}) == len(objects)
