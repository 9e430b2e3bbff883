"""The pages in Debian's Chromium, served by the real system, with simulated banks on real MQTT."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.acceptance.city import City
from tests.acceptance.conftest import city, pytest_runtest_makereport, simulator  # noqa: F401
from tests.browser.browsing import Desk

PICTURES = "LENDWATT_SCREENSHOTS"
"""A folder: pictures of the pages are kept there."""


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the browser's camera films; see ``Desk.holds_before_the_camera``."""
    return tmp_path_factory.mktemp("camera") / "film.y4m"


@pytest.fixture(scope="module")
def chromium(camera: Path) -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",  # CI runs as root
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def desk(chromium: Browser, city: City, camera: Path) -> Desk:  # noqa: F811
    folder = os.environ.get(PICTURES)
    pictures = None if not folder else Path(folder)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    return Desk(chromium=chromium, city=city, pictures=pictures, camera=camera)
