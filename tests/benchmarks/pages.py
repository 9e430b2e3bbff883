"""How soon a slow phone can use the renter's pages, beside the plainest page in the same run.

Chromium is made four times slower and given a slow 4G (1.6 Mbit/s, 150 ms), as Lighthouse does for
a phone, with an empty cache.
*Interactive* is when the page's scripts have run and its main button can be pressed. The floor is
``/healthz``: one line of JSON from the same server to the same throttled browser.
"""

import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.benchmarks.charge_start import OPERATOR, PLACE, TERMS, Bank, Person, platform
from tests.benchmarks.servers import wait_for

ROUNDS = 7
SLOW = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
SLOWER_BY = 4


def report(folder: Path) -> None:
    """Measure the label's page, the sign-in and a rental, and print them."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("pages: not measured, there is no chromium")
        return
    with platform(folder) as where, sync_playwright() as playwright:
        label, rental, renter = _rented(where["api"])
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        url = where["url"]
        print(
            f"a phone {SLOWER_BY} times slower on slow 4G, nothing kept, {ROUNDS} rounds (median)"
        )
        floor = _measure(browser, url, f"{url}/healthz", "", "")
        for name, path, button, phone in (
            ("a label, before signing in", label, "a.yes", ""),
            ("signing in", f"{url}/sign-in", "form button", ""),
            ("a rental, on its way, with its map", rental, ".acts button", renter),
        ):
            seen = _measure(browser, url, path, button, phone)
            ratio = seen["interactive"] / floor["interactive"]
            print(
                f"  {name:36} interactive {seen['interactive']:5.0f} ms   first words "
                f"{seen['paint']:5.0f} ms   {seen['bytes'] / 1000:5.0f} kB   ratio {ratio:.1f}"
            )
        print(f"  {'one line of JSON':36} there       {floor['interactive']:5.0f} ms")
        browser.close()


def _rented(api: str) -> tuple[str, str, str]:
    """A bank's label, a rental that is on its way, and its renter's phone."""
    owner = Person(api, "+8613800000001")
    merchant = owner.post(
        "/merchants",
        {
            "name": "Bench", "timezone": "Asia/Hong_Kong", "currency": "HKD",
            "service_radius_m": 5000, **PLACE,
        },
    )["id"]  # fmt: skip
    Person(api, OPERATOR).post(f"/operator/merchants/{merchant}/approve", {"reason": "bench"})
    owner.post(f"/merchants/{merchant}/tariffs", TERMS)
    owner.post(f"/merchants/{merchant}/staff", {"phone": "+8613800000001", "name": "Ah Ming"})
    made = [
        owner.post(f"/merchants/{merchant}/banks", {"bank_id": f"LW-{n:05}", "model": "LW-10K-A"})
        for n in range(2)
    ]
    banks = [Bank(each) for each in made]
    phone = "+85291000001"
    renter = Person(api, phone)
    for bank in banks:
        wait_for(lambda b=bank: renter.get(f"/qr/{b.qr_token}")["rentable"], f"{bank.id} is there")
    rental = renter.post("/rentals", {"qr_token": banks[1].qr_token, **PLACE})["id"]
    url = api.removesuffix("/api/v1")
    return f"{url}/b/{banks[0].qr_token}", f"{url}/rentals/{rental}", phone


def _measure(browser: Browser, url: str, path: str, button: str, phone: str) -> dict[str, float]:
    rounds = [_once(browser, url, path, button, phone) for _ in range(ROUNDS)]
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


_COOKIES: dict[str, Any] = {}


def _once(browser: Browser, url: str, path: str, button: str, phone: str) -> dict[str, float]:
    """Open a page with an empty cache; milliseconds, and bytes over the wire."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, service_workers="block"
    )
    page = context.new_page()
    if phone:
        _signed_in(page, url, phone)
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.clearBrowserCache")
    devtools.send("Network.emulateNetworkConditions", SLOW)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER_BY})
    page.goto(path, wait_until="domcontentloaded")
    if button:
        page.wait_for_selector(button)
    told: dict[str, float] = page.evaluate(
        """() => {
          const [shown] = performance.getEntriesByType("navigation");
          const paint = performance.getEntriesByName("first-contentful-paint")[0];
          const files = performance.getEntriesByType("resource");
          const bytes = files.reduce((sum, each) => sum + each.transferSize, shown.transferSize);
          const interactive = shown.domContentLoadedEventEnd;
          return { interactive, paint: paint?.startTime ?? 0, bytes };
        }"""
    )
    context.close()
    return told


def _signed_in(page: Page, url: str, phone: str) -> None:
    if phone not in _COOKIES:
        page.goto(f"{url}/sign-in")
        page.fill("#phone", phone)
        page.click("form[action='/sign-in/code'] button")
        page.fill("#code", page.inner_text("#demo-code"))
        page.click("form[action='/sign-in'] button")
        page.wait_for_url("**/rentals")
        _COOKIES[phone] = page.context.cookies()
    page.context.add_cookies(_COOKIES[phone])


if __name__ == "__main__":
    sys.exit("run: make bench")
