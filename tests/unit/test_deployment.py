"""What deploys it: the compose file and the Kubernetes manifests are valid by their own specifications, and fit the program."""

import json
import tomllib
from itertools import chain
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from agents.channels.settings import ChannelSettings
from gateway.serve import GRACE_S
from topology.scheduler import REVOKE_WITHIN_S
from topology.settings import ENV_PREFIX, Settings

KUBERNETES = ("1.30", "1.33", "1.37")
MANIFESTS = sorted(Path("deploy/kubernetes").glob("*.yaml"))
SEND_S = ChannelSettings().webhook_timeout_ms / 1_000 + 5
"""A slow webhook, and the writing of its outcome."""


def documents() -> list[dict]:
    return [found for file in MANIFESTS for found in yaml.safe_load_all(file.read_text())]


def of(kind: str) -> dict[str, dict]:
    return {found["metadata"]["name"]: found for found in documents() if found["kind"] == kind}


def workloads() -> dict[str, dict]:
    return of("Deployment") | of("StatefulSet")


def containers() -> list[dict]:
    made = chain(workloads().values(), of("Job").values())
    return [container for found in made for container in found["spec"]["template"]["spec"]["containers"]]


def compose() -> dict:
    return yaml.safe_load(Path("kafka-compose.yml").read_text())


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_is_what_kubernetes_takes(version):
    for found in documents():
        kubernetes_validate.validate(found, version, strict=True)


def test_the_validator_refuses_what_is_misspelt():
    deployment = workloads()["clepsydra-courier"]
    deployment["spec"]["template"]["spec"]["containers"][0]["redinessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


def test_the_compose_file_is_what_compose_takes():
    made = PyCompose.from_json(json.dumps(compose()))
    made.validate()
    assert {"kafka-1", "kafka-2", "kafka-3", "topics", "scheduler", "courier", "archivist", "gateway"} <= set(
        made.service_names()
    )


def test_selectors_budgets_and_services_find_their_pods():
    labels = {name: found["spec"]["template"]["metadata"]["labels"] for name, found in workloads().items()}
    for name, found in workloads().items():
        assert found["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
        assert of("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == labels[name]
    for name, service in of("Service").items():
        assert service["spec"]["selector"] == labels[name]


def test_probes_ask_what_the_processes_answer():
    for container in (c for found in workloads().values() for c in found["spec"]["template"]["spec"]["containers"]):
        ports = {port["name"] for port in container["ports"]}
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {probe["port"] for probe in probes.values()} <= ports
        assert {kind: probe["path"] for kind, probe in probes.items()} == {
            "startup": "/healthz",
            "liveness": "/healthz",  # never /readyz: a broker that is away would have every worker killed
            "readiness": "/readyz",
        }


def test_every_setting_that_is_given_exists():
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    given = {
        name
        for found in (of("ConfigMap") | of("Secret")).values()
        for name in found.get("data", found.get("stringData", {}))
    }
    given |= {entry["name"] for container in containers() for entry in container.get("env", ())}
    services = compose()["services"].values()
    given |= {name for service in services for name in service.get("environment", {}) if name.startswith(ENV_PREFIX)}
    assert given <= known, given - known


def test_nothing_runs_as_root_and_all_have_time_to_finish():
    for name, found in workloads().items():
        pod = found["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        needed = {"clepsydra-scheduler": REVOKE_WITHIN_S, "clepsydra-gateway": GRACE_S + 5}.get(name, SEND_S)
        assert pod["terminationGracePeriodSeconds"] > needed
    assert compose()["services"]["courier"]["stop_grace_period"] == "40s"
    assert "USER 10001" in Path("Dockerfile").read_text()


def test_a_scheduler_keeps_its_name_and_its_mirror():
    spec = of("StatefulSet")["clepsydra-scheduler"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert {"name": "CLEPSYDRA_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in container["env"]
    assert spec["volumeClaimTemplates"][0]["metadata"]["name"] in {m["name"] for m in container["volumeMounts"]}


def test_the_image_holds_every_package_of_the_wheel():
    wheel = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = Path("Dockerfile").read_text()
    context = Path(".dockerignore").read_text()
    for package in wheel["packages"]:
        assert f"COPY {package} {package}\n" in copied
        assert f"!{package}\n" in context


def test_brokers_are_three_with_two_in_sync():
    services = compose()["services"]
    brokers = {name: found["environment"] for name, found in services.items() if name.startswith("kafka-")}
    assert {environment["KAFKA_NODE_ID"] for environment in brokers.values()} == {1, 2, 3}
    assert {(e["KAFKA_DEFAULT_REPLICATION_FACTOR"], e["KAFKA_MIN_INSYNC_REPLICAS"]) for e in brokers.values()} == {
        (3, 2)
    }
    assert len({e["CLUSTER_ID"] for e in brokers.values()}) == 1
