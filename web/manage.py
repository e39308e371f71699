#!/usr/bin/env python
"""Runs the web app's commands.

`serve_web`, `migrate`, `add_account`, `answer_films`, `delete_old_films`, `backup` and `restore`.
"""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
