"""The app's settings for tests: a folder of their own, fast hashing of passwords, no server."""

import atexit
import os
import shutil
import tempfile

os.environ["OSTEOLENS_DATA"] = tempfile.mkdtemp(prefix="osteolens-web-tests-")
atexit.register(shutil.rmtree, os.environ["OSTEOLENS_DATA"], ignore_errors=True)
for _name in [name for name in os.environ if name.startswith("OSTEOLENS_") and name != "OSTEOLENS_DATA"]:
    del os.environ[_name]

from project.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SERVER_URL = "http://127.0.0.1:9"
WHITENOISE_AUTOREFRESH = True  # no walk through all static files for each test's browser
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # In a file as in use: SQLite's databases in memory have other locks.
    DATABASES["default"]["TEST"] = {"NAME": DATA_FOLDER / "test.sqlite3"}  # noqa: F405
