"""The example configurations of a server say what the guide says, as far as they can be read without a server."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_docker_compose_is_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load((EXAMPLES / "docker-compose.yml").read_text(encoding="utf-8"))
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["serving"]["ports"])
    kinds = [each["kind"] for each in yaml.safe_load_all((EXAMPLES / "kubernetes.yml").read_text(encoding="utf-8"))]
    assert kinds == ["Deployment", "Service"]
