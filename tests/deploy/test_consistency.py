"""What deploy/ says in several places is the same everywhere, and the same as in config.properties."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from expressions import OF_A_SCRAPE, OF_PROMETHEUS, expressions, read_by
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.console import Status
from osteolens.serving.properties import read_properties

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = read_properties(ROOT / "config.properties")
GATE = (DEPLOY / "nginx.conf").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
(PORT,) = re.findall(r"(?m)^EXPOSE (\d+)$", DOCKERFILE)


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def container_of(name: str) -> Any:
    spec = load(name)["spec"]
    return (spec["template"]["spec"] if "template" in spec else spec["predictor"])["containers"][0]


def test_the_gate_finds_torchserve_on_loopback() -> None:
    films, metrics = (urlsplit(SETTINGS[f"{name}_address"]) for name in ("inference", "metrics"))
    assert films.hostname == metrics.hostname == "127.0.0.1"
    assert re.findall(r"^ +server (\S+);", GATE, re.MULTILINE) == [films.netloc]
    assert re.findall(r"proxy_pass http://(\S+);", GATE) == ["torchserve"] * 3 + [metrics.netloc]


def test_the_gate_takes_the_same_films_and_waits_longer_than_torchserve() -> None:
    assert re.findall(r"client_max_body_size (\d+);", GATE) == [SETTINGS["max_request_size"]]
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", GATE)
    assert int(SETTINGS["default_response_timeout"]) < int(seconds) <= 2 * int(SETTINGS["default_response_timeout"])


def test_one_port_everywhere() -> None:
    assert re.findall(r"listen (\d+);", GATE) == [PORT]
    for name in ("kubernetes/deployment.yaml", "kserve/inference-service.yaml"):
        assert [str(port["containerPort"]) for port in container_of(name)["ports"]] == [PORT]
    compose = load("compose.yaml")["services"]
    assert compose["osteolens"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert f"http://127.0.0.1:{PORT}/ping" in compose["osteolens"]["healthcheck"]["test"][-1]
    assert "http://127.0.0.1:8000/readyz" in compose["app"]["healthcheck"]["test"][-1]
    [job] = load("prometheus/prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"osteolens:{PORT}"]}]
    [job] = load("prometheus/kubernetes.yml")["scrape_configs"]
    assert PORT in [rule.get("regex") for rule in job["relabel_configs"]]


def test_one_image_everywhere() -> None:
    image = load("compose.yaml")["services"]["osteolens"]["image"]
    assert {
        container_of(name)["image"] for name in ("kubernetes/deployment.yaml", "kserve/inference-service.yaml")
    } == {image}
    assert f"--tag {image} ." in DOCKERFILE
    version = re.findall(r'(?m)^version = "(.*)"$', (ROOT / "pyproject.toml").read_text())
    assert [image.partition(":")[2]] == version


def test_the_app_image_can_back_up_postgresql_as_the_page_says() -> None:
    stage = DOCKERFILE.partition("FROM base AS app\n")[2].partition("\nFROM ")[0]
    assert "postgresql-client" in stage
    assert "the `app` image has that of PostgreSQL 15" in (ROOT / "docs" / "team.md").read_text()
    assert "FROM debian:bookworm-slim AS base" in DOCKERFILE  # whose postgresql-client is of version 15


def test_every_file_that_is_copied_or_mounted_exists() -> None:
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", DOCKERFILE)
    sources = {source for line in copied for source in line.split()}
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert [
        source for source in sources if not any(source.startswith(line[1:]) for line in ignored if line[0] == "!")
    ] == []
    needed = {"config.properties", "log4j2.xml", SETTINGS["metrics_config"], "deploy/gate.py", "deploy/nginx.conf"}
    assert needed <= sources

    compose = load("compose.yaml")
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    for source, _, _ in (mount.partition(":") for mount in mounts):
        assert (DEPLOY / source).is_file() if source.startswith("./") else source in compose["volumes"], source
    assert (DEPLOY / compose["services"]["osteolens"]["build"]["context"] / "Makefile").is_file()


def test_the_token_is_where_prometheus_and_the_gate_look_for_it() -> None:
    compose = load("compose.yaml")
    [secret] = compose["secrets"]
    assert compose["services"]["osteolens"]["secrets"] == compose["services"]["prometheus"]["secrets"] == [secret]
    assert f"ENV OSTEOLENS_TOKEN_FILE=/run/secrets/{secret}\n" in DOCKERFILE
    for name in ("prometheus", "kubernetes"):
        [job] = load(f"prometheus/{name}.yml")["scrape_configs"]
        assert job["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}
        assert job["job_name"] == "osteolens"
        assert load(f"prometheus/{name}.yml")["rule_files"] == ["alerts.yml"]
    assert compose["secrets"][secret] == {"file": "./token"}
    assert "token" in (DEPLOY / ".gitignore").read_text().splitlines()


def test_the_composed_container_may_do_no_more_than_it_must() -> None:
    for name in ("osteolens", "app"):
        service = load("compose.yaml")["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert f"FROM base AS {service['build']['target']}\n" in DOCKERFILE
    stages = re.split(r"(?m)^FROM base AS ", DOCKERFILE)[1:]
    assert [re.findall(r"(?m)^USER (\d+)$", stage) for stage in stages] == [["10001"]] * 4


def test_the_image_needs_no_java_from_debian() -> None:
    installed = re.findall(r"(?m)^    && apt-get install --yes --no-install-recommends (.+) \\$", DOCKERFILE)
    assert installed == ["make python3 python3-venv", "nginx-light python3", "postgresql-client"]


@pytest.mark.parametrize("expression", expressions())
def test_each_expression_reads_metrics_that_are_declared(expression: str) -> None:
    """tests/e2e/test_metrics.py holds the declarations equal to what a real TorchServe serves."""
    declared = yaml.safe_load((ROOT / SETTINGS["metrics_config"]).read_text())
    labels = {
        one["name"]: set(one["dimensions"]) for part in declared.values() for kind in part.values() for one in kind
    }
    labels |= {f"{name}_bucket": own | {"le"} for name, own in labels.items()}
    for metric, read in read_by(expression).items():
        if metric not in OF_PROMETHEUS:
            assert read - OF_A_SCRAPE <= labels[metric]


def test_the_dashboard_has_one_source_and_no_overlapping_panels() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "osteolens.json").read_text())
    sources = {panel["datasource"]["uid"] for panel in dashboard["panels"]}
    assert sources == {"${datasource}"}
    assert {one["name"] for one in dashboard["templating"]["list"]} == {"datasource", "model"}
    squares = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(squares) == len(set(squares))
    assert max(x for x, _ in squares) == 23  # Grafana's grid is 24 wide
    [provider] = load("grafana/provider.yaml")["providers"]
    mounts = load("compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./grafana/osteolens.json:{provider['options']['path']}/osteolens.json:ro" in mounts
    [source] = load("grafana/datasource.yaml")["datasources"]
    assert urlsplit(source["url"]).hostname in load("compose.yaml")["services"]


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "systemd" / "osteolens.service")
    return parser["Service"]


def test_the_unit_starts_what_the_readme_starts(unit: configparser.SectionProxy) -> None:
    command = unit["ExecStart"].split()
    assert command[:2] == ["/opt/osteolens/.venv/bin/osteolens", "serve"]
    assert command[-1] == "/opt/osteolens/config.properties"
    assert unit["WorkingDirectory"] == f"/var/lib/{unit['StateDirectory']}"
    assert unit["User"] != "root"
    assert unit["IPAddressAllow"] == "localhost"
    assert "MemoryDenyWriteExecute" not in unit  # Java would not start


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "osteolens.service").read_text()
    unit = tmp_path / "osteolens.service"
    unit.write_text(text.replace("/opt/osteolens/.venv/bin/osteolens", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_watch_asks_the_archive_and_the_server_beside_it() -> None:
    services, orthanc = load("archive.yaml")["services"], load("orthanc.json")
    watch = dict(option.lstrip("-").partition("=")[::2] for option in services["watch"]["command"])
    assert {"score", "watch"} < set(watch)
    assert watch["url"] == f"http://orthanc:{orthanc['HttpPort']}{orthanc['DicomWeb']['Root'].rstrip('/')}"
    assert [watch["user"]] == list(orthanc["RegisteredUsers"])
    assert watch["server"] == f"http://osteolens:{PORT}"
    assert services["watch"]["build"]["target"] in re.findall(r"(?m)^FROM \S+ AS (\S+)$", DOCKERFILE)
    assert services["orthanc"]["ports"] == [
        f"127.0.0.1:{port}:{port}" for port in (orthanc["HttpPort"], orthanc["DicomPort"])
    ]


COMPOSE_KEYS = frozenset(
    {"image", "build", "ports", "environment", "volumes", "restart", "command", "secrets", "read_only", "tmpfs",
     "cap_drop", "security_opt", "init", "mem_limit", "depends_on"}
)  # fmt: skip
"""Of a service, by the Compose specification, as far as the archive's file uses them."""


def test_the_archives_file_fits_the_one_that_it_is_given_beside() -> None:
    beside, ours = load("compose.yaml"), load("archive.yaml")
    assert set(ours) == {"services", "volumes"}
    for service in ours["services"].values():
        assert set(service) <= COMPOSE_KEYS
        assert set(service.get("secrets", ())) <= set(beside["secrets"])
        for source in (volume.partition(":")[0] for volume in service["volumes"]):
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in ours["volumes"]
        for name in service.get("depends_on", ()):
            assert "healthcheck" in beside["services"][name]
    assert not set(ours["services"]) & set(beside["services"])
    watch = ours["services"]["watch"]
    assert re.search(rf"FROM base AS {watch['build']['target']}\n(?:(?!FROM ).*\n)*USER 10001\n", DOCKERFILE)
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    assert [name for name in watch["environment"] if f'"{name}"' not in sources] == []
    assert watch["environment"]["OSTEOLENS_KEY_FILE"] == f"/run/secrets/{watch['secrets'][0]}"


def test_the_watchs_command_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the image's entry point starts it, but for the addresses and that it looks once."""
    entry = json.loads(re.findall(r'ENTRYPOINT (\[".venv/bin/osteolens", .*\])', DOCKERFILE)[0])
    command = [option for option in load("archive.yaml")["services"]["watch"]["command"] if option != "--watch"]
    replaced = {"--url": "http://127.0.0.1:9/dicom-web", "--server": "http://127.0.0.1:9", "--out": str(tmp_path)}
    options = [name + f"={replaced.get(name, value)}" * bool(equals)
               for name, equals, value in (option.partition("=") for option in command)]  # fmt: skip
    monkeypatch.setenv("OSTEOLENS_DICOMWEB_PASSWORD", "secret")
    monkeypatch.setattr("osteolens.dicomweb.archive.ATTEMPTS", 1)
    done = CliRunner().invoke(app, [*entry[1:], *options, "--dry-run"])
    assert (done.exit_code, "no answer from the archive" in done.stderr) == (Status.UNREACHABLE, True), done.stderr
