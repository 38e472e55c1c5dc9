"""A real browser on a node of this process: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.admin.world import SECRET, Desk

AXE = Path(__file__).parent / "javascript" / "node_modules" / "axe-core" / "axe.min.js"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"

DESKTOP, PHONE = (1280, 800), (390, 844)

Scheme = Literal["light", "dark"]


def chromium() -> str:
    """The browser of this machine. Without one a test is skipped, or fails where CI is set."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        _without("there is no Chromium on this machine; `make browser` installs it on Debian")
    return str(found)


def axe() -> str:
    """The source of axe-core, which judges a page."""
    if not AXE.exists():
        _without("axe-core is not installed; `make browser` installs it (needs npm)")
    return AXE.read_text()


def _without(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


class Screen:
    """A page of a browser, and what went wrong in it that nobody sees."""

    def __init__(self, page: Page, desk: Desk) -> None:
        self.page = page
        self.desk = desk
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self._note(line.type, line.text))
        page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.complaints.append(text)

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.desk.node.url}/console{path}")

    async def sign_in(self, account: str | None) -> None:
        """With an account's key, or as the operator."""
        await self.go("/sign-in")
        await self.fill_in(account)

    async def fill_in(self, account: str | None) -> None:
        """The sign-in page that is there."""
        if account is not None:
            await self.page.fill("#name", f"KEY{account}")
        await self.page.fill(
            "#secret", SECRET.format(account) if account is not None else self.desk.node.operator_token
        )
        await self.page.click("button:has-text('Sign in')")
        await self.page.wait_for_selector("nav")

    async def shoot(self, path: Path, *, full: bool = True) -> None:
        await self.page.screenshot(path=path, full_page=full, animations="disabled")

    async def violations(self) -> list[str]:
        """What axe-core has against the page as it stands."""
        await self.page.evaluate(axe())  # evaluated by the debugger, which no policy of the page forbids
        found = await self.page.evaluate(
            "async () => (await axe.run()).violations.map("
            "each => each.id + ': ' + each.nodes.map(node => node.target.join(' ')).join(', '))"
        )
        return [str(each) for each in found]


@asynccontextmanager
async def open_screen(
    browser: Browser,
    desk: Desk,
    *,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    scripts: bool = True,
) -> AsyncIterator[Screen]:
    context: BrowserContext = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, java_script_enabled=scripts
    )
    try:
        yield Screen(await context.new_page(), desk)
    finally:
        await context.close()
