"""A rolling update with the chart's own settings, on a real broker: no window is lost and none counts twice.

The two Deployments are updated at once, as `helm upgrade` does it, each as its controller does it: what may be there beside the old pods
(``maxSurge``) is started, and when it answers its readiness probe an old pod gets SIGTERM and the grace that the pod template has.
"""

import threading
import time

import httpx
import pytest
from chaos.kafka_run import OLD, Run
from chaos.traffic import Plan

from parts import helm

REPLICAS = 2


class Rollout(threading.Thread):
    """The update of one Deployment, which must end with every old pod gone by itself."""

    def __init__(self, run: Run, role: str) -> None:
        super().__init__(name=f"rollout-{role}", daemon=True)
        rendered = helm.render("kafka", "--set", f"worker.replicas={REPLICAS}")
        spec = helm.of_kind(rendered, "Deployment")[f"tiltmeter-{role}"]["spec"]
        assert spec["replicas"] == REPLICAS
        assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        self.pod = spec["template"]["spec"]
        self.fleet, self.role = run.fleet, role
        self.seconds: list[float] = []
        self.failed: list[BaseException] = []

    def run(self) -> None:
        try:
            for number in range(REPLICAS):
                self._replace(number)
        except BaseException as error:
            self.failed.append(error)

    def _replace(self, number: int) -> None:
        new = self.fleet.add(f"{self.role}-of-next-{number}", self.role, OLD)
        self._wait_until_ready(new.port)
        old = self.fleet.members.pop(f"{self.role}-{number}")
        began = time.monotonic()
        hook = self.pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        time.sleep(float(hook[1]))
        assert old.stop(self.pod["terminationGracePeriodSeconds"] - float(hook[1])) == 0, old.name
        self.seconds.append(time.monotonic() - began)

    def _wait_until_ready(self, port: int) -> None:
        path = self.pod["containers"][0]["readinessProbe"]["httpGet"]["path"]
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                if httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"{self.role}: a new pod never became ready")


@pytest.mark.slow
def test_an_upgrade_loses_and_doubles_no_window(kafka, tmp_path):
    rollouts: list[Rollout] = []

    def upgrade(run: Run) -> None:
        run.wait(8)
        rollouts.extend(Rollout(run, role) for role in ("worker", "decider"))
        for rollout in rollouts:
            rollout.start()
        while any(rollout.is_alive() for rollout in rollouts):
            run.wait(0.5)
        run.note("both Deployments were updated")

    outcome = Run(kafka, tmp_path, Plan(24_000, 400), seconds=60, seed=11).go(upgrade)
    for rollout in rollouts:
        assert not rollout.failed, rollout.failed
        assert len(rollout.seconds) == REPLICAS
        print(rollout.role, "ended after", [round(seconds, 1) for seconds in rollout.seconds], "s")
    detail = "\n".join(outcome.told)
    assert outcome.wrong() == {}, detail
    assert outcome.late == 0, detail
    assert outcome.verdicts == outcome.undisturbed, detail
    assert any(v.state in ("ticket", "page") for v in outcome.verdicts)
