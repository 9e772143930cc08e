"""The chart: what Helm makes of it is what Kubernetes takes, what is committed, and what the daemon can read."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy import chart
from tests.deploy.chart import CHART, MODES
from tests.selection import ROOT

KUBERNETES = ("1.29", "1.37")
"""The oldest that has sidecars, and the newest that the validator knows."""

VALIDATOR = Path(sys.executable).with_name("kubernetes-validate")
PUSHBRIDGE = Path(sys.executable).with_name("pushbridge")


@pytest.mark.parametrize("mode", MODES)
def test_helm_finds_nothing_to_say_about_the_chart(mode: str) -> None:
    answer = chart.helm(
        "lint", "--strict", CHART, "--values", CHART / "ci" / f"{mode}.yaml", "--kube-version", "1.29.0"
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("mode", MODES)
def test_the_plain_manifests_are_what_the_chart_renders(mode: str) -> None:
    committed = (ROOT / "deploy" / "kubernetes" / f"{mode}.yaml").read_text()
    assert committed == chart.rendered(CHART / "ci" / f"{mode}.yaml"), "run make manifests"


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("mode", MODES)
def test_kubernetes_takes_the_manifests(mode: str, version: str) -> None:
    file = ROOT / "deploy" / "kubernetes" / f"{mode}.yaml"
    answer = subprocess.run(
        [VALIDATOR, "--strict", "--kubernetes-version", version, file], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("mode=single", "/mode"),
        ("replicas=3", "replicas"),
        ("listeners.probes=80", "/listeners/probes"),
        ("image.digest=latest", "/image/digest"),
        ("fleet.url=postgresql://user:secret@db/pushbridge", "/fleet/url"),
        ("terminationGracePeriodSeconds=10", "/terminationGracePeriodSeconds"),
    ],
)
def test_a_value_that_is_no_good_is_refused_by_its_name(setting: str, named: str) -> None:
    with pytest.raises(RuntimeError) as refused:
        chart.rendered(CHART / "ci" / "hub.yaml", setting)
    assert named in str(refused.value)


def test_a_fleet_without_a_database_and_a_sidecar_without_an_app_are_refused_with_the_cure() -> None:
    with pytest.raises(RuntimeError, match="url names the database"):
        chart.rendered(CHART / "ci" / "hub.yaml", "mode=fleet")
    with pytest.raises(RuntimeError, match="containers are those of the app"):
        chart.rendered(CHART / "ci" / "hub.yaml", "mode=sidecar")


@pytest.mark.parametrize("mode", MODES)
def test_check_takes_the_configuration_that_the_chart_makes(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "pushbridge.yaml"
    file.write_text(chart.configuration(chart.rendered(CHART / "ci" / f"{mode}.yaml")))
    answer = subprocess.run(
        [PUSHBRIDGE, "check", "--strict", "--no-secrets", file], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_what_config_says_wins_over_what_the_chart_knows(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        yaml.safe_dump({"config": {"bridge": {"name": "mine"}, "listeners": {"hub_api": {"connections": {"max": 9}}}}})
    )
    made = yaml.safe_load(chart.configuration(chart.rendered(values)))
    assert made["bridge"]["name"] == "mine"
    assert made["bridge"]["store"]["url"] == "sqlite:////var/lib/pushbridge/pushbridge.db"
    assert made["listeners"]["hub_api"] == {"address": "0.0.0.0:8443", "connections": {"max": 9}}


@pytest.mark.parametrize("mode", MODES)
def test_every_container_of_ours_is_without_root_rights_and_a_root_directory_to_write(mode: str) -> None:
    manifests = chart.rendered(CHART / "ci" / f"{mode}.yaml")
    pods = [
        found["spec"]["template"]["spec"]
        for found in chart.objects(manifests)
        if found["kind"] in ("StatefulSet", "Deployment", "Job")
    ]
    assert pods
    for pod in pods:
        ours = [each for each in [*pod.get("initContainers", ()), *pod["containers"]] if each["name"] != "app"]
        assert ours
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for each in ours:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert each["resources"]["limits"]["memory"]
            assert each["resources"]["requests"]["cpu"]


def test_the_sidecar_is_one_that_outlives_the_app_and_serves_probes_alone_to_other_machines() -> None:
    manifests = chart.rendered(CHART / "ci" / "sidecar.yaml")
    sidecar = chart.container(manifests)
    assert sidecar["restartPolicy"] == "Always"
    assert [port["name"] for port in sidecar["ports"]] == ["probes"]
    listeners = yaml.safe_load(chart.configuration(manifests))["listeners"]
    assert listeners == {"probes": {"address": "0.0.0.0:9090"}}


@pytest.mark.parametrize("mode", ["hub", "fleet"])
def test_the_network_policy_lets_in_to_the_ports_of_the_pods_and_to_whom_they_are_for_alone(mode: str) -> None:
    values = CHART / "ci" / f"{mode}.yaml"
    label = "networkPolicy.{}[0].podSelector.matchLabels.role={}"
    manifests = chart.rendered(values, label.format("scrapers", "prometheus"), label.format("clients", "shop"))
    policy = chart.of_kind(manifests, "NetworkPolicy")["spec"]
    ports = {each["name"] for each in chart.container(manifests)["ports"]}
    assert policy["policyTypes"] == ["Ingress"]
    lets_in = [([port["port"] for port in rule["ports"]], rule["from"]) for rule in policy["ingress"]]
    assert lets_in == [
        (["probes"], [{"podSelector": {"matchLabels": {"role": "prometheus"}}}]),
        (sorted(ports - {"probes"}), [{"podSelector": {"matchLabels": {"role": "shop"}}}]),
    ]
    (pods,) = (
        found["spec"]["template"]["metadata"]["labels"]
        for found in chart.objects(manifests)
        if found["kind"] in ("StatefulSet", "Deployment")
    )
    assert policy["podSelector"]["matchLabels"].items() <= pods.items(), "it is about the pods of the chart"
    off = chart.rendered(values, "networkPolicy.enabled=false")
    assert not [found for found in chart.objects(off) if found["kind"] == "NetworkPolicy"]


def test_a_sidecar_puts_no_policy_on_the_pod_of_the_app() -> None:
    manifests = chart.rendered(CHART / "ci" / "sidecar.yaml", "networkPolicy.enabled=true")
    assert not [found for found in chart.objects(manifests) if found["kind"] == "NetworkPolicy"]
