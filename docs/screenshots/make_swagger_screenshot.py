"""Books a slot through Swagger UI of a running `telemed demo --serve`, in a real browser, for the README's picture.

    telemed demo --serve                                        # in one terminal
    python docs/screenshots/make_swagger_screenshot.py          # in another one

Fails, with exit code 1 and one line, when *Authorize* or the booking does not work, when the page asks another host for
anything, or when it breaks its own Content-Security-Policy. Needs the test tools (`make check` installs them) and
Debian's chromium; no browser is downloaded.
"""

import argparse
import json
import os
import shutil
import sys
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Error, FloatRect, Locator, Page, expect, sync_playwright

PICTURE = Path(__file__).with_name("swagger.png")
EMAIL, PASSWORD = "paul@demo.example", "demo-plum-tractor"
KEY_PREFIX = "my-first-booking-"
WAIT_MS = 15_000
WIDTH, HEIGHT, MARGIN = 1100, 1000, 16
# The rest keeps chromium from calling home: whatever is then asked of another host, the page has asked.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOTE_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.effectiveDirective} ${event.blockedURI}`));
"""


class NotRight(Exception):
    """Something is off; the message says what."""


@dataclass
class Watch:
    """What the page did besides what it was told to do."""

    host: str
    complaints: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        page.on("request", lambda request: self._note_request(request.url))
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(f"script error: {error}"))

    def _note_request(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.host:
            self.complaints.append(f"request to another host: {url}")

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")


def main() -> None:
    """Drive, look, save; one line on standard output when all is well."""
    parser = argparse.ArgumentParser(description="Book a slot through Swagger UI, and save the picture.")
    parser.add_argument("--url", default="http://localhost:8000", help="where `telemed demo --serve` listens")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where the picture is saved")
    parser.add_argument("--chromium", default=chromium(), help="the browser")
    chosen = parser.parse_args()
    if chosen.chromium is None:
        sys.exit("no chromium here; install it (apt-get install chromium), or name one with --chromium")
    try:
        slot_id = bookable_slot(chosen.url)
        book_in_browser(chosen.url, slot_id=slot_id, picture=chosen.picture, executable=chosen.chromium)
    except (NotRight, AssertionError, Error, OSError) as error:
        sys.exit(f"Swagger UI is not right: {error}")
    print(f"booked slot {slot_id} through Swagger UI; the picture is {chosen.picture}")


def chromium() -> str | None:
    """The browser on this machine."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def bookable_slot(url: str) -> int:
    """The number of an open slot at a time when the demo patient is free."""
    tokens = call(f"{url}/auth/login", body={"email": EMAIL, "password": PASSWORD})
    token = tokens["access_token"]
    own = call(f"{url}/consultations/my?status=scheduled&limit=100", token=token)["items"]
    taken = {consultation["starts_at"] for consultation in own}
    for slot in call(f"{url}/availability/?limit=100", token=token)["items"]:
        if slot["starts_at"] not in taken:
            return int(slot["id"])
    raise NotRight("the demo clinic has no slot left for this patient; start it with an empty TELEMED_DATA_DIR")


def call(url: str, *, body: dict[str, str] | None = None, token: str | None = None) -> dict[str, Any]:
    """One call of the API, without the browser."""
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=WAIT_MS / 1000) as answer:
        return dict(json.load(answer))


def book_in_browser(url: str, *, slot_id: int, picture: Path, executable: str) -> None:
    """Authorize, book, see the 201, and save what is to be seen. Raises `NotRight` or playwright's `Error`."""
    watch = Watch(urllib.parse.urlsplit(url).netloc)
    with browser(executable) as chrome:
        page = chrome.new_page(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=1.5)
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(NOTE_VIOLATIONS)
        watch.over(page)
        page.goto(f"{url}/docs", wait_until="networkidle")
        authorize(page)
        operation = book(page, slot_id)
        if watch.complaints:
            raise NotRight("; ".join(watch.complaints))
        page.screenshot(path=picture, full_page=True, clip=frame(operation))


@contextmanager
def browser(executable: str) -> Iterator[Browser]:
    """A chromium of this machine, closed afterwards."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield started
        finally:
            started.close()


def authorize(page: Page) -> None:
    """Log the demo patient in with the *Authorize* button."""
    page.locator(".scheme-container .btn.authorize").click()
    form = page.locator(".auth-container")
    form.locator("#oauth_username").fill(EMAIL)
    form.locator("#oauth_password").fill(PASSWORD)
    with page.expect_response("**/auth/token") as answer:
        form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    if answer.value.status != HTTPStatus.OK:
        raise NotRight(f"*Authorize* was answered with {answer.value.status}")
    expect(form.get_by_role("button", name="Remove authorization")).to_be_visible(timeout=WAIT_MS)
    page.locator(".modal-ux .btn-done").click()
    expect(page.locator(".modal-ux")).to_have_count(0, timeout=WAIT_MS)


def book(page: Page, slot_id: int) -> Locator:
    """Fill in and execute `POST /bookings/`; the operation with its `201` on the page."""
    operation = page.locator("#operations-Booking-book_slot")
    operation.locator(".opblock-summary-control").click()
    operation.locator(".try-out__btn").click()
    operation.get_by_placeholder("Idempotency-Key").fill(f"{KEY_PREFIX}{uuid.uuid4().hex[:12]}")
    operation.locator("textarea.body-param__text").fill(json.dumps({"slot_id": slot_id}, indent=2))
    with page.expect_response("**/bookings/") as answer:
        operation.locator(".btn.execute").click()
    if answer.value.status != HTTPStatus.CREATED:
        raise NotRight(f"the booking was answered with {answer.value.status}: {answer.value.text()}")
    shown = operation.locator(".live-responses-table .response .response-col_status")
    expect(shown).to_contain_text("201", timeout=WAIT_MS)
    expect(operation.locator(".live-responses-table .response")).to_contain_text('"scheduled"', timeout=WAIT_MS)
    return operation


def frame(operation: Locator) -> FloatRect:
    """The part of the page from the operation's head to the end of the answer."""
    # Left out: the empty half of the text box, and a token that nobody needs to see.
    operation.locator("textarea.body-param__text").evaluate(
        "box => Object.assign(box.style, {minHeight: 0, height: '5rem'})"
    )
    operation.locator(".curl-command").evaluate("curl => curl.style.display = 'none'")
    head = operation.bounding_box()
    answer = operation.locator(".live-responses-table").bounding_box()
    if head is None or answer is None:
        raise NotRight("the operation is not to be seen")
    height = answer["y"] + answer["height"] - head["y"] + MARGIN
    top = head["y"] + operation.page.evaluate("scrollY") - MARGIN
    return {"x": 0, "y": top, "width": WIDTH, "height": height}


if __name__ == "__main__":
    main()
