"""The example configurations of a server say what the guide says, as far as they can be read without a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "serving"


@pytest.mark.parametrize("name", ["models.config", "batching.config", "monitoring.config"])
def test_configurations_are_text_protos(name: str) -> None:
    text = re.sub(r"#.*", "", (EXAMPLES / name).read_text(encoding="utf-8"))
    assert text.count("{") == text.count("}") > 0
    for word in re.findall(r"(?m)^\s*([^\s{}]+)", text):
        assert re.fullmatch(r"[a-z_]+:?", word), word


@pytest.mark.parametrize("name", ["docker-compose.yml", "kubernetes.yml"])
def test_manifests_name_files_and_ports_that_are_there(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for file in re.findall(r"/config/(\w+\.config)", text):
        assert (EXAMPLES / file).is_file()
    assert "8500" in text and "8501" in text and "tensorflow/serving" in text


def manifest(name: str) -> list[Any]:
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all((EXAMPLES / name).read_text(encoding="utf-8")))


def test_docker_compose_joins_requests_by_a_profile_only() -> None:
    """A server that joins them refuses those of different lengths, which clients of songs send."""
    (compose,) = manifest("docker-compose.yml")
    services = compose["services"]
    ports = [port for service in services.values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports) and len(set(ports)) == len(ports) == 4
    assert "profiles" not in services["serving"] and services["serving-batching"]["profiles"] == ["batching"]
    joining = {name for name, service in services.items() if "--enable_batching=true" in service["command"]}
    assert joining == {"serving-batching"}
    assert all(service["volumes"] and service["healthcheck"] for service in services.values())


def test_kubernetes_has_all_that_its_documents_name() -> None:
    documents = {(each["kind"], each["metadata"]["name"]): each for each in manifest("kubernetes.yml")}
    names = ("tfsep-serving", "tfsep-serving-batching")
    pairs = {(kind, name) for kind in ("Deployment", "Service") for name in names}
    assert set(documents) == pairs | {("PersistentVolumeClaim", "tfsep-models")}
    for name in names:
        spec = documents["Deployment", name]["spec"]
        pod = spec["template"]["spec"]
        (container,) = pod["containers"]
        labels = spec["template"]["metadata"]["labels"]
        assert labels == spec["selector"]["matchLabels"] == documents["Service", name]["spec"]["selector"]
        assert container["readinessProbe"]["httpGet"] == {"path": "/v1/models/songs", "port": "rest"}
        assert ("--enable_batching=true" in container["args"]) == (name == "tfsep-serving-batching")
        claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
        assert claims == ["tfsep-models"]
        assert [v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v] == ["tfsep-serving"]


def test_batches_are_as_large_as_the_comment_says() -> None:
    text = (EXAMPLES / "batching.config").read_text(encoding="utf-8")
    assert "max_batch_size { value: 64 }" in text and "at most 64 rows" in text and "one length" in text
