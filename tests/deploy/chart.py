"""The chart as Helm renders it, and what its manifests hold."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.selection import ROOT

CHART = ROOT / "deploy" / "helm" / "pushbridge"
MODES = ("hub", "fleet", "sidecar")
_HELM = Path(sys.executable).with_name("helm")


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What Helm answers to a command."""
    return subprocess.run([_HELM, *arguments], capture_output=True, text=True, check=False)


def rendered(values: Path, *settings: str) -> str:
    """The manifests for a file of values, as `make manifests` keeps them.

    Raises: RuntimeError with what Helm said.
    """
    flags = [flag for setting in settings for flag in ("--set", setting)]
    answer = helm("template", "pushbridge", CHART, "--values", values, "--kube-version", "1.29.0", *flags)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return answer.stdout


def objects(manifests: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of a file."""
    return [found for found in yaml.safe_load_all(manifests) if found]


def of_kind(manifests: str, kind: str, name: str = "pushbridge") -> dict[str, Any]:
    """The one object of that kind and name."""
    (found,) = (each for each in objects(manifests) if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def container(manifests: str) -> dict[str, Any]:
    """The container of pushbridge in the pods of whichever workload there is."""
    pod = _pod(manifests)
    every: Sequence[Mapping[str, Any]] = [*pod.get("initContainers", ()), *pod["containers"]]
    (found,) = (dict(each) for each in every if each["name"] == "pushbridge")
    return found


def _pod(manifests: str) -> Mapping[str, Any]:
    (workload,) = (each for each in objects(manifests) if each["kind"] in ("StatefulSet", "Deployment"))
    spec: Mapping[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def configuration(manifests: str, name: str = "pushbridge") -> str:
    """What the ConfigMap puts into /etc/pushbridge/pushbridge.yaml."""
    text: str = of_kind(manifests, "ConfigMap", name)["data"]["pushbridge.yaml"]
    return text
