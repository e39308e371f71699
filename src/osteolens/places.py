"""Where the files that come with OsteoLens are, and where a server keeps its own.

In a checkout both are the checkout. A wheel holds the files in its package, and a server's keys, logs, archives and
films are in a folder of the user.
"""

import os
from pathlib import Path

HOME_VARIABLE = "OSTEOLENS_HOME"

_IN_WHEEL = Path(__file__).parent / "shipped"


def shipped() -> Path:
    """The folder that holds `weights`, `handlers`, `web`, `config.properties` and `constraints.txt`."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else Path(__file__).parents[2]


def root() -> Path:
    """As `shipped`, with a relative path for a checkout: commands are run in it, and name its files as users do."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else Path()


def home(folder: Path | None = None) -> Path:
    """The folder that a server's keys, logs, archives and films are in; a relative one for the working folder.

    Args:
        folder: Wins over the variable OSTEOLENS_HOME. Default without either: in a checkout the working folder, for a
            wheel the user's folder for data, such as ~/.local/share/osteolens.
    """
    if folder or os.environ.get(HOME_VARIABLE):
        return (folder or Path(os.environ[HOME_VARIABLE])).expanduser().absolute()
    if not _IN_WHEEL.is_dir():
        return Path()
    from platformdirs import user_data_path

    return user_data_path("osteolens", appauthor=False)
