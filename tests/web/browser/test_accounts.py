"""A new account's way in a browser: one-time password, second step, single sign-on. Every page of it passes axe."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, Page, expect
from provider import Provider
from test_second_factor import code_of

from .app import OWNER, PASSWORD, App, log_in
from .test_pages import PHONE, faults

pytestmark = pytest.mark.slow

SIGN_ON = {"OSTEOLENS_OIDC_NAME": "Hospital ID", "OSTEOLENS_OIDC_CLIENT_SECRET": "secret"}
PASSWORD_OF_EVE = "a quieter afternoon 8"


def checked(page: Page, heading: str) -> None:
    """The page with this heading is there, has no finding, and is no wider than the phone."""
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    assert [*faults(page, "light"), *faults(page, "dark")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_from_a_new_account_to_single_sign_on(browser: Browser, tmp_path: Path) -> None:
    away = SimpleNamespace(url="http://127.0.0.1:9", inference_key="")
    with (
        Provider(("s-eve", {"preferred_username": "eve.doe"})) as provider,
        App(tmp_path / "web", away, **SIGN_ON, OSTEOLENS_OIDC_ISSUER=provider.url) as app,
    ):
        desk = browser.new_context(base_url=app.url, service_workers="block", **PHONE).new_page()
        log_in(desk, OWNER, PASSWORD)
        desk.goto("/staff/accounts/add")
        desk.get_by_label("Name").fill("eve")
        desk.get_by_role("button", name="Add").click()
        password = desk.locator(".secret").inner_text()
        checked(desk, "Account eve")

        page = browser.new_context(base_url=app.url, service_workers="block", **PHONE).new_page()
        page.goto("/accounts/login")
        checked(page, "Log in")
        log_in(page, "eve", password)
        for name, text in (
            ("old_password", password),
            ("new_password1", PASSWORD_OF_EVE),
            ("new_password2", PASSWORD_OF_EVE),
        ):
            page.fill(f"[name={name}]", text)
        page.get_by_role("button", name="Change password").click()

        page.goto("/accounts/second-factor")
        assert page.locator(".qr").evaluate("one => one.naturalWidth") > 100  # the policy lets it be drawn
        secret = page.locator("main code").inner_text()
        page.get_by_label("Code").fill(code_of(secret, -1))
        page.get_by_role("button", name="Turn it on").click()
        checked(page, "Recovery codes")
        page.get_by_role("link", name="I have kept them").click()
        page.get_by_label("What it is for").fill("ward round")
        page.get_by_role("button", name="New token").click()
        expect(page.locator(".secret")).to_have_text(re.compile(r"^[\w-]{43}$"))
        page.get_by_role("link", name="Connect with Hospital ID").click()
        page.get_by_role("button", name="s-eve").click()
        checked(page, "Connect?")
        page.get_by_role("button", name="Connect").click()
        checked(page, "Account eve")

        page.context.clear_cookies()
        page.goto("/films/?q=a")
        page.get_by_role("link", name="Log in with Hospital ID").click()
        page.get_by_role("button", name="s-eve").click()
        checked(page, "Second step")
        page.get_by_label("Code").fill(code_of(secret, 0))
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(re.compile(r"/films/\?q=a$"))

        desk.once("dialog", lambda dialog: dialog.accept())
        desk.get_by_role("button", name="Close").click()
        expect(desk.get_by_role("button", name="Open")).to_be_visible()
        page.goto("/films/")
        page.get_by_role("link", name="Log in with Hospital ID").click()
        page.get_by_role("button", name="s-eve").click()
        checked(page, "Not logged in")
        for opened in (page, desk):
            opened.context.close()
