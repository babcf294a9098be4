"""What cannot work is refused by name: typos by the schema, what only the whole can tell by the templates."""

import pytest

from parts.helm import refused, render

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("replicas=2", ["replicas"]),
        ("mode=daemonset", ["/mode", "deployment"]),
        ("worker.replica=2", ["/worker", "'replica'"]),
        ("worker.replicas=two", ["/worker/replicas"]),
        ("sidecar.resources.request.cpu=1", ["/sidecar/resources", "'request'"]),
        ("image.digest=latest", ["/image/digest"]),
        ("secrets.tokens.existingSecret=x", ["/secrets", "'tokens'"]),
        ("bundles.digests.support-bot=abc", ["/bundles/digests/support-bot"]),
        ("serviceMonitor.intervall=10s", ["/serviceMonitor", "'intervall'"]),
        ("prometheusRule.overrides.TiltmeterPage.sevrity=warning", ["'sevrity'"]),
        ("networkPolicy.enable=true", ["/networkPolicy", "'enable'"]),
        ("config.sorce.kind=http", ["/config", "'sorce'"]),
        ("config.source.max_body_byte=1", ["/config/source", "'max_body_byte'"]),
        ("config.source.kind=pulsar", ["/config/source/kind", "kafka"]),
        ("config.source.kind=file", ["/config/source/kind"]),
        ("config.source.topic=prompts", ["/config/source", "'topic'"]),
        ("config.models.support-bot.bundle=null", ["/config/models/support-bot", "bundle"]),
        ("config.models.support-bot.wire_name=x", ["/config/models/support-bot", "'wire_name'"]),
        ("config.detection.first_contact.prompts=-1", ["/config/detection/first_contact/prompts"]),
        ("config.compute.device=gpu", ["/config/compute/device", "cuda"]),
        ("config.http.port=80", ["/config/http", "'port'"]),
        ("config.instance=one", ["/config", "'instance'"]),
        ("config.targets.live.url=http://vllm/v1", ["/config/targets/live", "monitors"]),
        ("config.probes.pack=x", ["/config/probes", "'pack'"]),
    ],
)
def test_the_schema_names_the_typo(setting, words):
    told = refused("sqlite", "--set", setting)
    assert "values don't meet the specifications of the schema" in told
    for word in words:
        assert word in told


@pytest.mark.parametrize("setting", ["config.windows.length=30s", "config.windows.length=30", "config.budgets.page=1 per 30 days"])
def test_durations_and_budgets_are_words_or_numbers(setting):
    assert render("sqlite", "--set", setting)


KAFKA = ("--set", "config.source.kind=kafka,config.source.topic=t,config.source.bootstrap_servers=k:9092")


@pytest.mark.parametrize(
    ("case", "more", "told"),
    [
        (None, (), "config.models names no model"),
        (None, (), "secrets.token.existingSecret: nothing may be posted without a token"),
        ("sqlite", ("--set", "worker.replicas=2"), "worker.replicas above 1 needs a ledger that many processes may share"),
        ("sidecar-sqlite", ("--set", "sidecar.replicas=2"), "sidecar.replicas above 1 needs a ledger that many processes may share"),
        ("sidecar", ("--set", "config.ledger.url=sqlite:////var/lib/tiltmeter/l.db"), "sidecar.replicas above 1 needs a ledger"),
        (
            "sidecar-sqlite",
            ("--set", "sidecar.state.ledgerMiB=1024"),
            "sidecar.state.ledgerMiB: expected less than sidecar.state.volumeMiB",
        ),
        ("sidecar", KAFKA, "config.source.kind: a sidecar takes prompts over HTTP"),
        ("postgres", ("--set", "persistence.enabled=true"), "persistence.enabled: nothing is kept on a volume"),
        (
            "postgres",
            ("--set", "persistence.enabled=true,config.store=sqlite:////var/lib/tiltmeter/h.db"),
            "persistence.enabled: a claim with a SQLite history is for one decider",
        ),
        (
            "postgres",
            ("--set", "config.curation.store_text=redacted,config.store=sqlite:////var/lib/tiltmeter/h.db"),
            "config.curation.store_text: workers keep the texts",
        ),
        ("sqlite", ("--set", "secrets.token.existingSecret="), "secrets.token.existingSecret: nothing may be posted without a token"),
        (
            "kafka",
            ("--set", "secrets.kafka.existingSecret=,extraEnv=null,extraEnvFrom=null"),
            "secrets.kafka.existingSecret: config.ledger asks for SCRAM-SHA-512",
        ),
        ("kafka", ("--set", "config.source.options.security_protocol=SASL_PLAINTEXT"), "config.source.options.security_protocol"),
        ("kafka", ("--set", "secrets.kafkaTls.cert="), "secrets.kafkaTls.certKey: a key without a certificate"),
        ("kafka", ("--set", "bundles.existingClaim=b"), "bundles: expected one of existingClaim"),
        ("sqlite", ("--set", "bundles.existingClaim="), "bundles: nothing brings the bundles"),
        ("kafka", ("--set", "bundles.fetch.image="), "bundles.fetch.image: expected the image"),
        ("kafka", ("--set", "config.models.support-bot.shadow=/bundles/new"), "bundles.digests.new: what is fetched is checked"),
        (
            "sqlite",
            ("--set", f"bundles.digests.other={DIGEST}"),
            "bundles.digests.other: no model has its bundle or shadow at /bundles/other",
        ),
        (
            "sqlite",
            ("--set", "config.models.support-bot.bundle=/bundle/x"),
            "config.models.support-bot.bundle: /bundle/x is not on a volume",
        ),
        (
            "postgres",
            ("--set", "config.targets.live.monitors=bot"),
            'config.targets.live.monitors: no such model "bot"; expected one of support-bot',
        ),
        ("postgres", ("--set", "config.targets.live.role=previous"), "config.targets: expected one of role live"),
        ("postgres", ("--set", "probes.existingSecret="), "probes.existingSecret: config.targets.live.key_env names LIVE_KEY"),
        ("postgres", ("--set", "secrets.canary.existingSecret="), "config.targets.live.through_gateway needs a key that signs probes"),
        ("postgres", ("--set", "config.gates.release.model=bot"), 'config.gates.release.model: no such model "bot"'),
        (
            "postgres",
            ("--set", "config.probes.packs={/etc/tiltmeter-probes/new.yaml}"),
            "probes.files.new.yaml: config names /etc/tiltmeter-probes/new.yaml",
        ),
        ("postgres", ("--set", "serviceMonitor.enabled=true"), "every pod would be scraped twice"),
        ("sidecar", ("--set", "sidecar.podLabels=null"), "sidecar.podLabels: expected the labels"),
        ("kafka", ("--set", "prometheusRule.overrides.TiltmetrPage.enabled=false"), "prometheusRule.overrides.TiltmetrPage: no such alert"),
    ],
)
def test_what_only_the_whole_can_tell(case, more, told):
    assert told in refused(case, *more)


@pytest.mark.parametrize(
    ("case", "version", "told"),
    [
        ("sidecar", "1.28.0", "a native sidecar needs Kubernetes 1.29 or later"),
        ("postgres", "1.30.0", "an image volume needs Kubernetes 1.31 or later"),
        ("sqlite", "1.24.0", "requires kubeVersion"),
    ],
)
def test_what_the_cluster_cannot_do(case, version, told):
    assert told in refused(case, version=version)


def test_a_distribution_with_a_suffix_in_its_version_counts_as_that_version():
    assert render("sidecar", version="1.29.3-gke.1")
    assert render("postgres", version="v1.31.0+k3s1")


def test_all_mistakes_are_told_at_once():
    told = refused("sqlite", "--set", "worker.replicas=2,bundles.existingClaim=,secrets.token.existingSecret=")
    for words in ("worker.replicas above 1", "bundles: nothing brings", "secrets.token.existingSecret"):
        assert words in told
