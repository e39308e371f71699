"""Settings from the environment: malformed ones stop the start with one clear line."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from project.environment import Environment, MalformedSetting

WEB = Path(__file__).parents[2] / "web"


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
        ("OSTEOLENS_DATA", "/proc/data"),
        ("DATABASE_URL", "mysql://u:hidden@h/d"),
        ("DATABASE_URL", "nonsense://u:hidden@h/d"),
        ("DATABASE_URL", "postgresql://u:hidden@h:port/d"),
        ("DATABASE_URL", "postgresql://"),
        ("DATABASE_URL", "hidden"),
    ],
)
def test_a_malformed_value_is_named_with_a_valid_one(tmp_path: Path, name: str, value: str) -> None:
    environment = Environment({name: value})
    readers = {
        "OSTEOLENS_DEBUG": lambda: environment.flag(name),
        "OSTEOLENS_BEHIND_TLS": lambda: environment.flag(name),
        "OSTEOLENS_MODELS": lambda: environment.names(name, "knee", "_-."),
        "OSTEOLENS_ALLOWED_HOSTS": lambda: environment.names(name, "localhost", ".-:[]*"),
        "OSTEOLENS_RETENTION_DAYS": lambda: environment.number(name, 0, 0, 36500),
        "OSTEOLENS_UPLOADS_PER_MINUTE": lambda: environment.number(name, 120, 1, 1000),
        "OSTEOLENS_MAX_UPLOAD_MB": lambda: environment.number(name, 64, 1, 64),
        "OSTEOLENS_SECRET_KEY": lambda: environment.secret_key(name, tmp_path / "key"),
        "OSTEOLENS_URL": lambda: environment.url(name),
        "OSTEOLENS_KEY_FILE": lambda: environment.file(name),
        "OSTEOLENS_DATA": lambda: environment.folder(name, "web_data"),
        "DATABASE_URL": lambda: environment.database(name, tmp_path / "db"),
    }
    with pytest.raises(MalformedSetting, match="for example") as found:
        readers[name]()
    assert str(found.value).startswith(name)
    assert "hidden" not in str(found.value)


def test_the_start_stops_with_one_line(tmp_path: Path) -> None:
    done = read_settings(tmp_path, OSTEOLENS_MAX_UPLOAD_MB="lots")
    assert done.returncode == 1
    assert done.stderr == (
        "error: OSTEOLENS_MAX_UPLOAD_MB is 'lots'; it is a whole number from 1 to 64, "
        "for example OSTEOLENS_MAX_UPLOAD_MB=64\n"
    )


def test_defaults_and_values(tmp_path: Path) -> None:
    assert read_settings(tmp_path).stdout == ("django.db.backends.sqlite3 ['knee', 'efficientnet', 'yolov5'] False\n")
    given = {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:5432/d",
        "OSTEOLENS_MODELS": "knee",
        "OSTEOLENS_BEHIND_TLS": "On",
    }
    assert read_settings(tmp_path, **given).stdout == "django.db.backends.postgresql ['knee'] True\n"


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "secret_key"
    first = Environment({}).secret_key("X", file)
    assert len(first) >= 32
    assert Environment({}).secret_key("X", file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]
    assert Environment({"X": "y" * 32}).secret_key("X", file) == "y" * 32


@pytest.mark.parametrize("content", [b"", b"too short", b"\xff" * 40])
def test_a_kept_secret_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret_key").write_bytes(content)
    done = read_settings(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the secret key in {tmp_path / 'data' / 'secret_key'} ")
    assert "delete the file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_data_folder_is_private(tmp_path: Path) -> None:
    folder = Environment({}).folder("X", str(tmp_path / "a" / "b"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [None, "secret_key", "films"])
def test_an_open_data_folder_of_our_own_is_closed(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    if content:
        (folder / content).touch()
    Environment({"X": str(folder)}).folder("X", "web_data")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(("mode", "content"), [(0o755, "letters"), (0o777, "secret_key"), (0o1777, None)])
def test_an_open_folder_that_is_not_only_ours_is_left_alone(tmp_path: Path, mode: int, content: str | None) -> None:
    """Root would close /tmp or /home to everybody."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    if content:
        (folder / content).touch()
    with pytest.raises(MalformedSetting, match="for example X=web_data"):
        Environment({"X": str(folder)}).folder("X", "web_data")
    assert stat.S_IMODE(folder.stat().st_mode) == mode


def test_the_app_never_imports_what_reads_films(tmp_path: Path) -> None:
    heavy = ("torch", "timm", "onnxruntime", "matplotlib", "sklearn", "ultralytics")
    code = f"import project.wsgi, project.urls, sys; print(*[name for name in {heavy} if name in sys.modules])"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(WEB), "OSTEOLENS_DATA": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
