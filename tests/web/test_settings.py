"""Settings from the environment: malformed ones stop the start with one clear line."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from project.environment import Environment, MalformedSetting
from pydantic.fields import FieldInfo

WEB = Path(__file__).parents[2] / "web"

Read = Callable[..., Environment]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Read:
    """Read settings from these variables, and from no other but OSTEOLENS_DATA."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("OSTEOLENS_") or name == "DATABASE_URL"]:
        monkeypatch.delenv(name)

    def read(**variables: str) -> Environment:
        with monkeypatch.context() as patch:
            for name, value in ({"OSTEOLENS_DATA": str(tmp_path / "data")} | variables).items():
                patch.setenv(name, value)
            return Environment.read()

    return read


def read_settings(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    code = (
        "from project import settings as s; print(s.DATABASES['default']['ENGINE'], s.MODELS, s.SESSION_COOKIE_SECURE)"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(WEB),
        "OSTEOLENS_DATA": str(folder / "data"),
        **variables,
    }
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OSTEOLENS_DEBUG", "maybe"),
        ("OSTEOLENS_BEHIND_TLS", "2"),
        ("OSTEOLENS_MODELS", "knee,,yolov5"),
        ("OSTEOLENS_MODELS", "../knee"),
        ("OSTEOLENS_MODELS", "knee,knee"),
        ("OSTEOLENS_ALLOWED_HOSTS", "a b"),
        ("OSTEOLENS_RETENTION_DAYS", "-1"),
        ("OSTEOLENS_RETENTION_DAYS", "\u0661"),
        ("OSTEOLENS_UPLOADS_PER_MINUTE", "0"),
        ("OSTEOLENS_MAX_UPLOAD_MB", "65"),
        ("OSTEOLENS_MAX_UPLOAD_MB", "1.5"),
        ("OSTEOLENS_SECRET_KEY", "short"),
        ("OSTEOLENS_SECRET_KEY", ""),
        ("OSTEOLENS_SECRET_KEY", "  "),
        ("OSTEOLENS_URL", "127.0.0.1:8080"),
        ("OSTEOLENS_KEY_FILE", "/nowhere/key_file.json"),
        ("OSTEOLENS_DICOMWEB_URL", "https://user:hidden@pacs.example/dicom-web"),
        ("OSTEOLENS_DICOMWEB_URL", "pacs.example"),
        ("OSTEOLENS_DICOMWEB_CA_FILE", "/nowhere.pem"),
        ("OSTEOLENS_SECOND_FACTOR", "on"),
        ("OSTEOLENS_OIDC_ISSUER", "http://id.example"),
        ("OSTEOLENS_OIDC_ISSUER", "id.example"),
        ("OSTEOLENS_OIDC_ISSUER", "ftp://user:hidden@id.example"),
        ("OSTEOLENS_OIDC_ISSUER", "https://id.example?a=hidden"),
        ("OSTEOLENS_OIDC_NEW_ACCOUNTS", "maybe"),
        ("OSTEOLENS_DATA", "/proc/data"),
        ("DATABASE_URL", "mysql://u:hidden@h/d"),
        ("DATABASE_URL", "nonsense://u:hidden@h/d"),
        ("DATABASE_URL", "postgresql://u:hidden@h:port/d"),
        ("DATABASE_URL", "postgresql://"),
        ("DATABASE_URL", "hidden"),
    ],
)
def test_a_malformed_value_is_named_with_a_valid_one(environment: Read, name: str, value: str) -> None:
    with pytest.raises(MalformedSetting) as refusal:
        environment(**{name: value})
    [line] = str(refusal.value).splitlines()
    assert line.startswith(f"{name} ")
    assert f"for example {name}=" in line
    assert "hidden" not in line


@pytest.mark.parametrize("field", Environment.model_fields.values(), ids=Environment.model_fields)
def test_every_example_is_valid(environment: Read, field: FieldInfo) -> None:
    Path("archive_ca.pem").touch()
    for example in field.examples or []:
        environment(**{str(field.validation_alias): str(example).replace("$(openssl rand -hex 32)", "0f" * 32)})


def test_every_malformed_value_has_its_line(tmp_path: Path) -> None:
    done = read_settings(tmp_path, OSTEOLENS_DEBUG="maybe", OSTEOLENS_MODELS="knee,,yolov5", OSTEOLENS_URL=" ")
    assert done.stderr == (
        "error: OSTEOLENS_DEBUG is 'maybe'; it is on or off, for example OSTEOLENS_DEBUG=on\n"
        "error: OSTEOLENS_MODELS is 'knee,,yolov5'; it is names between commas, "
        "for example OSTEOLENS_MODELS=knee,efficientnet,yolov5\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("OSTEOLENS_DEBUG", " ON ", "debug", True),
        ("OSTEOLENS_DEBUG", "0", "debug", False),
        ("OSTEOLENS_MODELS", "knee, yolo-v5_2.1 ", "models", ["knee", "yolo-v5_2.1"]),
        ("OSTEOLENS_ALLOWED_HOSTS", ".example.org,[::1],*", "allowed_hosts", [".example.org", "[::1]", "*"]),
        ("OSTEOLENS_RETENTION_DAYS", " 30", "retention_days", 30),
        ("OSTEOLENS_RETENTION_DAYS", "", "retention_days", 0),
        ("OSTEOLENS_URL", "https://reader:8080", "url", "https://reader:8080"),
        ("OSTEOLENS_KEY_FILE", "key_file.json", "key_file", Path("key_file.json")),
        ("OSTEOLENS_KEY_FILE", "", "key_file", None),
        ("OSTEOLENS_OIDC_ISSUER", "https://id.example/", "oidc_issuer", "https://id.example/"),
        ("OSTEOLENS_OIDC_ISSUER", "http://[::1]:8080/r", "oidc_issuer", "http://[::1]:8080/r"),
        ("OSTEOLENS_OIDC_NEW_ACCOUNTS", "", "oidc_new_accounts", "closed"),
        ("OSTEOLENS_SECOND_FACTOR", "", "second_factor", "optional"),
        ("OSTEOLENS_ADMIN_PASSWORD", " a b ", "admin_password", "a b"),
    ],
)
def test_a_valid_value_is_taken(environment: Read, name: str, value: str, field: str, expected: object) -> None:
    assert getattr(environment(**{name: value}), field) == expected


def test_the_start_stops_with_one_line(tmp_path: Path) -> None:
    done = read_settings(tmp_path, OSTEOLENS_MAX_UPLOAD_MB="lots")
    assert done.returncode == 1
    assert done.stderr == (
        "error: OSTEOLENS_MAX_UPLOAD_MB is 'lots'; it is a whole number from 1 to 64, "
        "for example OSTEOLENS_MAX_UPLOAD_MB=64\n"
    )


def test_defaults_and_values(tmp_path: Path) -> None:
    assert read_settings(tmp_path).stdout == ("django.db.backends.sqlite3 ['knee', 'efficientnet', 'yolov5'] False\n")
    variables = {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:5432/d",
        "OSTEOLENS_MODELS": "knee",
        "OSTEOLENS_BEHIND_TLS": "On",
    }
    assert read_settings(tmp_path, **variables).stdout == "django.db.backends.postgresql ['knee'] True\n"


def test_the_secret_is_made_once_and_private(environment: Read, tmp_path: Path) -> None:
    file = tmp_path / "data" / "secret_key"
    first = environment().signing_key
    assert len(first) >= 32
    assert environment().signing_key == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["secret_key"]
    assert environment(OSTEOLENS_SECRET_KEY="y" * 32).signing_key == "y" * 32


@pytest.mark.parametrize("content", [b"", b"too short", b"\xff" * 40])
def test_a_kept_secret_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret_key").write_bytes(content)
    done = read_settings(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the secret key in {tmp_path / 'data' / 'secret_key'} ")
    assert "delete the file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_data_folder_is_private(environment: Read, tmp_path: Path) -> None:
    folder = environment(OSTEOLENS_DATA=str(tmp_path / "a" / "b")).data
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_default_folder_that_cannot_be_made_is_named(environment: Read, tmp_path: Path) -> None:
    (tmp_path / "web_data").touch()
    with pytest.raises(MalformedSetting, match=r"^OSTEOLENS_DATA is '.*web_data', which cannot be made: File exists"):
        environment(OSTEOLENS_DATA="")


@pytest.mark.parametrize("content", [None, "secret_key", "films"])
def test_an_open_data_folder_of_our_own_is_closed(environment: Read, tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    if content:
        (folder / content).touch()
    environment()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(("mode", "content"), [(0o755, "letters"), (0o777, "secret_key"), (0o1777, None)])
def test_an_open_folder_that_is_not_only_ours_is_left_alone(
    environment: Read, tmp_path: Path, mode: int, content: str | None
) -> None:
    """Root would close /tmp or /home to everybody."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    if content:
        (folder / content).touch()
    with pytest.raises(MalformedSetting, match="for example OSTEOLENS_DATA=web_data"):
        environment()
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_the_app_never_imports_what_reads_films(tmp_path: Path) -> None:
    heavy = ("torch", "timm", "onnxruntime", "matplotlib", "sklearn", "ultralytics", "pydicom", "highdicom")
    code = f"import project.wsgi, project.urls, sys; print(*[name for name in {heavy} if name in sys.modules])"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{WEB}{os.pathsep}{WEB.parent / 'src'}",
        "OSTEOLENS_DATA": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_a_user_of_the_archive_has_a_password(environment: Read) -> None:
    with pytest.raises(MalformedSetting, match="belong together"):
        environment(OSTEOLENS_DICOMWEB_URL="https://pacs.example/dicom-web/", OSTEOLENS_DICOMWEB_USER="osteolens")
    names = {"OSTEOLENS_DICOMWEB_USER": "osteolens", "OSTEOLENS_DICOMWEB_PASSWORD": "secret"}
    settings = environment(OSTEOLENS_DICOMWEB_URL="https://pacs.example/dicom-web/", **names)
    assert settings.dicomweb_url == "https://pacs.example/dicom-web"
