"""The second step of a log-in, worked out here by RFC 6238 and not by the library that checks it."""

import base64
import hmac
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from accounts import second_factor
from accounts.models import AuditEntry, RecoveryCode, Token, User
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice
from people import PASSWORD

SET_UP, CHANGE, CODE = "/accounts/second-factor", "/accounts/second-factor/change", "/accounts/code"


def code_of(secret: str, steps_ahead: int = 0) -> str:
    """Six digits of RFC 6238 with SHA-1 and 30 seconds, for now or for later steps."""
    key = base64.b32decode(secret.replace(" ", "") + "=" * (-len(secret.replace(" ", "")) % 8))
    digest = hmac.digest(key, (int(time.time()) // 30 + steps_ahead).to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def set_up(client: Client) -> tuple[str, list[str]]:
    """Set the second step up as the page does; the app's secret and the recovery codes."""
    secret = client.get(SET_UP).context["secret"]
    # The step before now, so that the one of now can still log in.
    page = client.post(SET_UP, {"code": code_of(secret, -1)})
    assert page.status_code == 200
    return secret, re.findall(r"<code>([a-z0-9-]{17})</code>", page.content.decode())


def first_step(browser: Client, name: str = "ada") -> Any:
    return browser.post("/accounts/login", {"username": name, "password": PASSWORD, "next": "/films/?q=a"})


def forget_pauses() -> None:
    """As if the growing pause after each failure had passed."""
    TOTPDevice.objects.update(throttling_failure_timestamp=timezone.now() - timedelta(days=1))


def test_rfc_6238_has_this_code_for_its_own_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1111111109.0)  # appendix B of the RFC, last six of its eight digits
    assert code_of(base64.b32encode(b"12345678901234567890").decode()) == "081804"


def test_the_password_alone_opens_nothing(owner: User, client: Client) -> None:
    secret, codes = set_up(client)
    assert len(set(codes)) == 10
    browser = Client()
    assert first_step(browser)["Location"] == CODE
    assert browser.get("/films/")["Location"].startswith("/accounts/login")
    assert browser.get("/accounts/")["Location"].startswith("/accounts/login")
    assert browser.post("/upload").status_code == 401
    assert browser.get(CODE).status_code == 200
    entered = browser.post(CODE, {"code": code_of(secret)})
    assert (entered.status_code, entered["Location"]) == (302, "/films/?q=a")
    assert browser.get("/films/").status_code == 200
    log_ins = AuditEntry.objects.filter(action="log-in").order_by("pk").values_list("detail", flat=True)
    assert list(log_ins) == ["", "password and code"]  # the first is the fixture's


def test_a_code_opens_once(owner: User, client: Client) -> None:
    secret, codes = set_up(client)
    for code in (code_of(secret), codes[0].upper().replace("-", " ")):
        for expected in (302, 400):
            browser = Client()
            first_step(browser)
            assert browser.post(CODE, {"code": code}).status_code == expected
        forget_pauses()
    assert RecoveryCode.objects.count() == 9
    stored = str(list(RecoveryCode.objects.values()))
    assert [code for code in codes if code in stored or code.replace("-", "") in stored] == []


def test_wrong_codes_are_limited_like_wrong_passwords(owner: User, client: Client) -> None:
    secret, _ = set_up(client)
    browser = Client()
    first_step(browser)
    answers = []
    for code in ("000000x", "wrong", "", "12345", "a\0b", "\uff19\uff19\uff19\uff19\uff19\uff19", "1_2_3"):
        answers.append(browser.post(CODE, {"code": code}).status_code)
        forget_pauses()
    assert answers == [400, 400, 400, 400, 400, 400, 429]  # the empty one and the impossible one were not tried
    assert browser.post(CODE, {"code": code_of(secret)}).status_code == 429
    assert first_step(Client()).status_code == 429  # the password does not help while the name is locked
    details = AuditEntry.objects.filter(action="failed log-in").values_list("user_name", "detail").distinct()
    assert ("ada", "second factor") in details


def test_pauses_grow_after_failures(owner: User, client: Client) -> None:
    secret, _ = set_up(client)
    browser = Client()
    first_step(browser)
    browser.post(CODE, {"code": "000000"})
    assert browser.post(CODE, {"code": code_of(secret)}).status_code == 400  # right, but within the second
    forget_pauses()
    assert browser.post(CODE, {"code": code_of(secret)}).status_code == 302


def test_the_first_step_holds_for_ten_minutes_and_for_this_password(owner: User, client: Client) -> None:
    secret, _ = set_up(client)
    assert Client().get(CODE)["Location"] == "/accounts/login"
    late, changed, closed = Client(), Client(), Client()
    for browser in (late, changed, closed):
        first_step(browser)
    session = late.session
    session["first_step"] |= {"at": time.time() - 601}
    session.save()
    assert late.post(CODE, {"code": code_of(secret)})["Location"] == "/accounts/login"
    owner.is_active = False
    owner.save()
    assert closed.post(CODE, {"code": code_of(secret)})["Location"] == "/accounts/login"
    owner.is_active = True
    owner.set_password("a louder afternoon")
    owner.save()
    assert changed.post(CODE, {"code": code_of(secret)})["Location"] == "/accounts/login"
    assert changed.get("/films/").status_code == 302


def test_tokens_need_the_code_once_and_work_without_it(owner: User, client: Client) -> None:
    before = Token.create(owner)
    secret, _ = set_up(client)
    login = {"username": "ada", "password": PASSWORD}
    answers = [Client().post("/api/token", login | more, "application/json") for more in ({}, {"code": "000000"})]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [
        (403, "code_needed"), (401, "wrong_code"),
    ]  # fmt: skip
    forget_pauses()
    answer = Client().post("/api/token", login | {"code": code_of(secret)}, "application/json")
    for token in (before, answer.json()["token"]):
        assert Client(headers={"Authorization": f"Bearer {token}"}).get("/api/films").status_code == 200


def test_it_is_not_on_before_a_code_of_the_app_was_typed(owner: User, client: Client) -> None:
    page = client.get(SET_UP)
    assert page.context["picture"].startswith("data:image/svg+xml")
    secret = page.context["secret"]
    assert client.post(SET_UP, {"code": "000000"}).status_code == 400
    assert client.get(SET_UP).context["secret"] == secret  # the app that has read it already goes on
    assert second_factor.device_of(owner) is None
    assert first_step(Client())["Location"] == "/films/?q=a"


def test_turning_off_and_new_codes_need_a_code(owner: User, client: Client) -> None:
    secret, codes = set_up(client)
    assert client.get(SET_UP)["Location"] == "/accounts/"
    client.post(CHANGE, {"code": "000000", "off": ""})
    assert second_factor.device_of(owner)
    forget_pauses()
    fresh = re.findall(r"<code>([a-z0-9-]{17})</code>", client.post(CHANGE, {"code": codes[3]}).content.decode())
    assert (len(fresh), set(fresh) & set(codes)) == (10, set())
    client.post(CHANGE, {"code": codes[4], "off": ""})  # the codes of before are over
    assert second_factor.device_of(owner)
    forget_pauses()
    client.post(CHANGE, {"code": code_of(secret), "off": ""})
    assert (second_factor.device_of(owner), RecoveryCode.objects.count()) == (None, 0)
    actions = AuditEntry.objects.exclude(action="log-in").order_by("pk").values_list("action", flat=True)
    assert [action for action in actions if action != "failed log-in"] == [
        "second factor on", "recovery codes", "second factor off",
    ]  # fmt: skip


def test_it_may_be_required_of_everybody(owner: User, client: Client, settings: Any) -> None:
    settings.SECOND_FACTOR_REQUIRED = True
    for path in ("/", "/films/", "/accounts/", "/accounts/password"):
        assert client.get(path)["Location"] == SET_UP
    assert client.post("/accounts/tokens", {"name": "a", "days": "90"})["Location"] == SET_UP
    assert client.post("/upload").json()["error"]["code"] == "second_factor_missing"
    login = {"username": "ada", "password": PASSWORD}
    refused = Client().post("/api/token", login, "application/json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "second_factor_missing")
    secret, _ = set_up(client)
    assert client.get("/films/").status_code == 200
    client.post(CHANGE, {"code": code_of(secret), "off": ""})
    assert second_factor.device_of(owner)
    browser = Client()
    first_step(browser)
    assert browser.post(CODE, {"code": code_of(secret)}).status_code == 302
    assert browser.get("/films/").status_code == 200
    app = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})
    assert app.get("/api/films").status_code == 200


def test_staff_resets_it_for_somebody_who_lost_the_device(owner: User, client: Client) -> None:
    set_up(client)
    boss = Client()
    boss.force_login(User.objects.create_user("boss", password=PASSWORD, is_staff=True))
    assert boss.post(f"/staff/accounts/{owner.pk}/second-factor").status_code == 302
    assert client.get("/films/").status_code == 302  # whoever has the device is out
    assert first_step(Client())["Location"] == "/films/?q=a"
    entry = AuditEntry.objects.get(action="second factor reset")
    assert (entry.user_name, entry.detail) == ("boss", "account ada, member")
