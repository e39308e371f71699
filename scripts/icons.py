"""Renders web/static/icons/icon.svg as the PNG files that phones want: python scripts/icons.py."""

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parents[1] / "web" / "static" / "icons"
SIDES = (180, 192, 512)


def main() -> None:
    """One file per size, beside the drawing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    drawing = (FOLDER / "icon.svg").read_text()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        for side in SIDES:
            page = browser.new_page(viewport={"width": side, "height": side})
            page.set_content(f"<style>body {{margin: 0}} svg {{display: block; width: 100vw}}</style>{drawing}")
            page.screenshot(path=FOLDER / f"icon-{side}.png")
        browser.close()


if __name__ == "__main__":
    main()
