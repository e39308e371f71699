"""Settings of the documentation: Sphinx with MyST (Markdown) and the theme Furo; `make docs` builds it."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from osteolens import __version__

project = "OsteoLens"
copyright = "the OsteoLens developers, AGPL-3.0-or-later"
release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "OsteoLens"
exclude_patterns = ["screenshots"]


def link_model_pages(_app: Sphinx, _included: Path, _page: str, content: list[str]) -> None:
    """Let the model card link to these pages where the file in the repository links to the files beside the weights."""
    content[0] = re.sub(r"\]\(weights/(\w+)/README\.md\)", r"](models/\1.md)", content[0])


def setup(app: Sphinx) -> None:
    """Connect what Sphinx calls while it builds."""
    app.connect("include-read", link_model_pages)
