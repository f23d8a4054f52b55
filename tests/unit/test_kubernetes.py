"""The manifests for Kubernetes, as far as they can be judged without a cluster."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import promql_parser
import pytest
import typer
import yaml

from archiver import __version__
from archiver.cli import cli
from archiver.policies import load_policies
from archiver.settings import Settings, load
from archiver.watch.metrics import render
from archiver.watch.monitor import Monitor
from tests.support.commands import ROOT

BASE: Final = ROOT / "packaging" / "kubernetes" / "base"
INSTALL: Final = ROOT / "docs" / "install.md"
PROMETHEUS: Final = ROOT / "packaging" / "kubernetes" / "components" / "prometheus"
#: Pinned: the oldest and the newest against which every manifest is held.
KUBERNETES: Final = ("1.33.0", "1.37.0")
MANIFESTS: Final = ("serviceaccount", "deployment", "service", "networkpolicy")
LABELS: Final = {"app.kubernetes.io/name": "archiver"}

Manifest = dict[str, Any]


def read(path: Path) -> Manifest:
    """One YAML file."""
    document: Manifest = yaml.safe_load(path.read_text())
    return document


def pod() -> Manifest:
    """What the deployment says of its pod."""
    found: Manifest = read(BASE / "deployment.yaml")["spec"]["template"]["spec"]
    return found


def containers() -> list[Manifest]:
    """All containers of the pod, those too that run before."""
    return [*pod()["initContainers"], *pod()["containers"]]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The configuration of the config map, in a folder that holds what the pod would mount, and nothing else."""
    root = tmp_path_factory.mktemp("pod")
    (volume,) = (one["secret"] for one in pod()["volumes"] if "secret" in one)
    (mount,) = {one["mountPath"] for each in containers() for one in each["volumeMounts"] if one["name"] == "secrets"}
    (root / "secrets").mkdir()
    for item in volume["items"]:
        (root / "secrets" / item["path"]).write_text("what-is-secret")
    (generated,) = read(BASE / "kustomization.yaml")["configMapGenerator"]
    for name in generated["files"]:
        (root / name).write_text((BASE / name).read_text().replace(mount, str(root / "secrets")))
    return load(root / "archiver.yaml", {})


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_knows_every_key(name: str, version: str) -> None:
    kubernetes_validate.validate(read(BASE / f"{name}.yaml"), version, strict=True)


def test_a_misspelt_key_is_seen() -> None:
    wrong = read(BASE / "deployment.yaml")
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


def test_every_file_is_used() -> None:
    """By one of the two kustomizations, and each names only files that exist."""
    for folder in (BASE, PROMETHEUS):
        said = read(folder / "kustomization.yaml")
        named = {*said["resources"], *(file for one in said.get("configMapGenerator", []) for file in one["files"])}
        assert {path.name for path in folder.iterdir()} - {"kustomization.yaml"} == named


def test_one_label_binds_them() -> None:
    """A policy or a service that chooses nothing would choose everything in the namespace."""
    found = {name: read(BASE / f"{name}.yaml") for name in MANIFESTS}
    assert [one["metadata"]["labels"] for one in found.values()] == [LABELS] * len(MANIFESTS)
    assert found["deployment"]["spec"]["selector"]["matchLabels"] == LABELS
    assert found["deployment"]["spec"]["template"]["metadata"]["labels"] == LABELS
    assert found["service"]["spec"]["selector"] == LABELS
    assert found["networkpolicy"]["spec"]["podSelector"]["matchLabels"] == LABELS
    assert read(PROMETHEUS / "servicemonitor.yaml")["spec"]["selector"]["matchLabels"] == LABELS
    assert [one["metadata"].get("namespace") for one in found.values()] == [None] * len(MANIFESTS)


def test_there_is_one_at_a_time() -> None:
    spec = read(BASE / "deployment.yaml")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_its_containers_can_do_little() -> None:
    """The profile that Kubernetes calls restricted, and a root that cannot be written to."""
    security = pod()["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in (ROOT / "Dockerfile").read_text().splitlines()
    assert pod()["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod())
    for one in containers():
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["name"] for mount in one["volumeMounts"] if not mount.get("readOnly")} == {"tmp"}
        assert {"cpu", "memory"} <= set(one["resources"]["requests"]) & set(one["resources"]["limits"])


def test_its_commands_exist() -> None:
    assert [one["args"] for one in containers()] == [["db", "upgrade"], ["run"]]
    for one in containers():
        command: object = typer.main.get_command(cli)
        for word in one["args"]:
            command = getattr(command, "commands", {})[word]


def test_no_stale_archive_restarts_it() -> None:
    """A restart makes no source answer: only a process that does not live is killed."""
    (archiver,) = pod()["containers"]
    asked = {name: archiver[name]["httpGet"] for name in archiver if name.endswith("Probe")}
    assert {name: one["path"] for name, one in asked.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {one["port"] for one in asked.values()} == {archiver["ports"][0]["name"]}


def test_it_may_take_its_time_to_stop(settings: Settings) -> None:
    assert timedelta(seconds=pod()["terminationGracePeriodSeconds"]) > settings.sync.shutdown_grace


def test_its_image_is_this_version() -> None:
    (image,) = read(BASE / "kustomization.yaml")["images"]
    assert image["newTag"] == __version__
    assert {one["image"] for one in containers()} == {image["name"]}


def test_its_configuration_loads_with_what_is_mounted(settings: Settings) -> None:
    """Each secret comes from a file, each file is an item of the secret, and nothing is deleted."""
    policies = settings.policies
    assert policies is not None
    assert load_policies(policies, accounts=["acme"]).deletion.mode == "disabled"
    (volume,) = (one["secret"] for one in pod()["volumes"] if "secret" in one)
    named = re.findall(r"_file: /run/secrets/archiver/(\w+)$", (BASE / "archiver.yaml").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(item["path"] for item in volume["items"])
    whole = str(settings.database.url and settings.database.url.get_secret_value())
    assert sorted(settings.secrets()) == [whole, "what-is-secret"]


def test_health_can_be_asked_from_outside_of_the_pod(settings: Settings) -> None:
    (archiver,) = pod()["containers"]
    (service,) = read(BASE / "service.yaml")["spec"]["ports"]
    (port,) = archiver["ports"]
    assert settings.http.listen == f"0.0.0.0:{port['containerPort']}"
    assert service["targetPort"] == port["name"]
    (endpoint,) = read(PROMETHEUS / "servicemonitor.yaml")["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (service["name"], "/metrics")
    (allowed,) = read(BASE / "networkpolicy.yaml")["spec"]["ingress"]
    assert [one["port"] for one in allowed["ports"]] == [port["name"]]


def test_the_alerts_ask_for_metrics_that_there_are(settings: Settings) -> None:
    """In PromQL that can be read."""
    shown = asyncio.run(Monitor(settings, lambda: datetime(2026, 11, 26, tzinfo=UTC)).see())
    known = set(re.findall(r"^# TYPE (\w+) ", render(shown).decode(), re.MULTILINE))
    rules = [rule for group in read(PROMETHEUS / "prometheusrule.yaml")["spec"]["groups"] for rule in group["rules"]]
    for rule in rules:
        promql_parser.parse(rule["expr"])
        assert set(re.findall(r"archiver_\w+", rule["expr"])) <= known
        assert set(re.findall(r"archiver_\w+", rule["expr"]))
        assert {"summary", "description"} == set(rule["annotations"])
        assert rule["labels"]["severity"] in {"warning", "critical"}
    assert {"absent(archiver_build_info)"} <= {rule["expr"] for rule in rules}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")
@pytest.mark.parametrize("components", [[], ["../components/prometheus"]], ids=["plain", "with Prometheus"])
def test_the_overlay_of_the_guide_builds(tmp_path: Path, components: list[str]) -> None:
    """With somebody's own image, and their files under a name with a digest."""
    shutil.copytree(BASE.parent, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes" / "mine"
    overlay.mkdir()
    guide = re.search(r"```yaml\n# packaging/kubernetes/mine/.*?\n(.*?)```", INSTALL.read_text(), re.DOTALL)
    assert guide
    shown = {**yaml.safe_load(guide[1]), "components": components}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(shown))
    for name in shown["configMapGenerator"][0]["files"]:
        (overlay / name).write_text(f"mine: {name}")
    done = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=True)
    made = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}

    assert len(made) == len(MANIFESTS) + 1 + 2 * len(components)
    for one in ours(made):
        kubernetes_validate.validate(one, KUBERNETES[0], strict=True)
    assert {one["metadata"]["namespace"] for one in made.values()} == {"archiver"}
    assert made["ConfigMap"]["data"]["archiver.yaml"] == "mine: archiver.yaml"
    spec = made["Deployment"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["image"] == f"YOUR-REGISTRY/archiver:{__version__}"
    assert {
        "configMap": {"name": made["ConfigMap"]["metadata"]["name"], "defaultMode": 0o444},
        "name": "config",
    } in spec["volumes"]
    assert re.fullmatch(r"archiver-config-\w{10}", made["ConfigMap"]["metadata"]["name"])


def ours(made: dict[str, Manifest]) -> Iterator[Manifest]:
    """What Kubernetes itself knows: no kinds of operators."""
    return (one for one in made.values() if not one["apiVersion"].startswith("monitoring.coreos.com/"))
