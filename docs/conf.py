"""Settings of the documentation: Sphinx with MyST (Markdown) and the theme Furo; `make docs` builds it."""

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
