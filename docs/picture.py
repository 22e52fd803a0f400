"""Takes the README's picture of a report: python docs/picture.py conformance-report/index.html"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(report: str) -> None:
    with sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1120}, device_scale_factor=1.5)
        page.goto(Path(report).resolve().as_uri())
        page.locator(".matrix td a").first.wait_for()
        page.screenshot(path=Path(__file__).with_name("report.png"))
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
