import stat
from pathlib import PurePosixPath

import kubernetes_validate
import pytest
import yaml
from deploy_needs import DEPLOY

from earwitness.config.load import load_config

FILES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VERSIONS = ("1.29", kubernetes_validate.latest_version())
SECRETS = "/run/secrets/earwitness"


def documents():
    return [document for file in FILES for document in yaml.safe_load_all(file.read_text())]


def only(kind):
    (found,) = (document for document in documents() if document["kind"] == kind)
    return found


@pytest.fixture
def pod():
    return only("Deployment")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (container,) = pod["containers"]
    return container


@pytest.fixture
def config(tmp_path):
    """The configuration of the ConfigMap, with its secrets in a folder of this test."""
    for name in ("http-token", "on-call"):
        (tmp_path / name).write_text("a-secret-of-this-test")
    for name, text in only("ConfigMap")["data"].items():
        (tmp_path / name).write_text(text.replace(SECRETS, str(tmp_path)))
    return load_config(tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_manifest_is_what_the_api_takes(file, version):
    for document in yaml.safe_load_all(file.read_text()):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_misspelt_key_is_refused(version):
    wrong = only("Deployment")
    context = wrong["spec"]["template"]["spec"]["securityContext"]
    context["runAsNonRoots"] = context.pop("runAsNonRoot")
    with pytest.raises(kubernetes_validate.ValidationError, match="runAsNonRoots"):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_the_configuration_loads_and_is_guarded_by_a_token(config):
    assert not config.http.local
    assert config.http.token is not None


def test_ports_paths_and_names_agree(pod, container, config):
    assert container["ports"][0]["containerPort"] == config.http.address[1]
    assert only("Service")["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert mounts["secrets"] == SECRETS
    arguments = container["args"]
    assert arguments[arguments.index("--config") + 1] == mounts["config"]
    assert arguments[arguments.index("--data-dir") + 1] == mounts["data"]


def test_only_volumes_can_be_written(container):
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert context["capabilities"]["drop"] == ["ALL"]
    assert not context["allowPrivilegeEscalation"]
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/earwitness", "/tmp"}


def test_secrets_are_for_the_daemons_group_alone(pod):
    (secret,) = (volume["secret"] for volume in pod["volumes"] if "secret" in volume)
    assert not secret["defaultMode"] & (stat.S_IRWXO | stat.S_IWGRP)
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_one_daemon_at_a_time_and_time_to_end(pod):
    spec = only("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    assert pod["terminationGracePeriodSeconds"] > 20  # seconds that the daemon lets its runs take


def test_no_manifest_carries_a_secret():
    assert "Secret" not in {document["kind"] for document in documents()}
    text = only("ConfigMap")["data"]["earwitness.yaml"]
    files = [line.split(": ")[1] for line in text.splitlines() if "_file:" in line]
    assert {str(PurePosixPath(file).parent) for file in files} == {SECRETS}
