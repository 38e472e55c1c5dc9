"""Who gets in, for how long, and what a form needs."""

import re
from pathlib import Path

import pytest

from partnerbus.console.app import POLICY
from partnerbus.console.attempts import FAILURES_OF_ONE_NAME, WINDOW
from partnerbus.console.door import ENDED, NOT_OUR_FORM, WRONG
from partnerbus.console.sessions import LIFETIME
from partnerbus.node.settings import AuthMode
from tests.admin.world import ACME, ANN, BOB, SECRET, Desk, open_desk
from tests.console.visitor import Visitor, visitor


@pytest.mark.parametrize(("account", "role"), [(None, "Operator"), (ANN, "Customer"), (ACME, "Partner")])
async def test_each_role_signs_in_and_out(desk: Desk, account: str | None, role: str) -> None:
    async with visitor(desk, account) as somebody:
        page = await somebody.see("")
        assert role in page.words
        assert SECRET.format(account) not in page.text
        assert desk.node.operator_token not in page.text
        left = await somebody.submit("", "/sign-out")
        assert left.path == "/console/sign-in"
        assert (await somebody.see("")).path.startswith("/console/sign-in")


async def test_the_cookie_is_for_our_pages_alone(desk: Desk) -> None:
    async with Visitor(desk.node.url, desk.node.operator_token) as somebody:
        token = (await somebody.see("/sign-in")).form_token
        answer = await somebody.send(
            "/sign-in",
            {"form_token": token, "name": f"KEY{ANN}", "secret": SECRET.format(ANN)},
            follow=False,
        )
        assert answer.status == 303
        cookie = answer.headers["Set-Cookie"].lower()
        assert all(
            word in cookie for word in ("httponly", "samesite=strict", "path=/console", "max-age=43200")
        )
        assert "secure" not in cookie
        answer = await somebody.see("/sign-in", X_Forwarded_Proto="https")
        assert "secure" in answer.headers["Set-Cookie"].lower()


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (f"KEY{ANN}", SECRET.format(BOB)),
        ("KEYNOBODY", SECRET.format(ANN)),
        (f"KEY{ANN}", ""),
        ("", "not-the-token"),
        (ANN, SECRET.format(ANN)),
        ("<script>alert(1)</script>", "\N{SNOWMAN}"),
    ],
)
async def test_a_wrong_key_is_refused_and_not_shown(desk: Desk, name: str, secret: str) -> None:
    async with Visitor(desk.node.url, desk.node.operator_token) as somebody:
        answer = await somebody.try_to_sign_in(name, secret)
        assert answer.status == 403
        assert WRONG in answer.words
        assert "<script>alert" not in answer.text
        assert not secret or secret not in answer.text
        assert (await somebody.see("")).path.startswith("/console/sign-in")


async def test_attempts_are_limited_until_their_time_has_passed(desk: Desk) -> None:
    async with Visitor(desk.node.url, desk.node.operator_token) as somebody:
        for _ in range(FAILURES_OF_ONE_NAME):
            assert (await somebody.try_to_sign_in(f"KEY{ANN}", "wrong")).status == 403
        answer = await somebody.sign_in(ANN)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "300")
        assert "Try again in 5 minutes." in answer.words
        await desk.clock.advance(WINDOW)
        assert (await somebody.sign_in(ANN)).status == 200


async def test_a_session_ends_with_its_time_and_with_its_key(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        await desk.ask(f"/accounts/{BOB}/keys/KEY{BOB}", method="DELETE")
        assert (await bob.see("/events")).path.startswith("/console/sign-in")
        assert (await ann.see("/events")).path == "/console/events"
        await desk.clock.advance(LIFETIME)
        page = await ann.see("/events?source=x")
        assert ENDED in page.words
        assert 'value="/console/events?source=x"' in page.text


async def test_somebody_gets_where_they_wanted_to_go_and_nowhere_else(desk: Desk) -> None:
    async with Visitor(desk.node.url, desk.node.operator_token) as somebody:
        wanted = await somebody.see("/events?source=a%20b")
        assert 'name="next" value="/console/events?source=a%20b"' in wanted.text
        for there, path in (
            ("/console/events", "/console/events"),
            ("https://elsewhere.example/console", "/console"),
            ("//elsewhere.example/console", "/console"),
            ("/console\\@elsewhere.example", "/console"),
            ("/_partnerbus/status", "/console"),
            ("/consoles", "/console"),
        ):
            answer = await somebody.try_to_sign_in(f"KEY{ANN}", SECRET.format(ANN), next=there)
            assert answer.path == path


async def test_a_form_without_its_token_changes_nothing(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        theirs = (await bob.see("")).form_token
        own = (await ann.see("")).form_token
        for token in ("", "x", theirs):
            answer = await ann.send("/sign-out", {"form_token": token})
            assert (answer.status, NOT_OUR_FORM in answer.words) == (403, True)
        for name, value in (("Origin", "https://elsewhere.example"), ("Sec_Fetch_Site", "cross-site")):
            answer = await ann.send("/sign-out", {"form_token": own}, follow=True, **{name: value})
            assert answer.status == 403
        assert (await ann.see("/events")).path == "/console/events"
        answer = await ann.send("/sign-in", {"name": "", "secret": desk.node.operator_token})
        assert answer.status == 403


async def test_forms_are_bounded_and_must_be_forms(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann:
        assert (await ann.send("/sign-out", "x" * 600_000, Content_Type="application/json")).status == 415
        form = "application/x-www-form-urlencoded"
        assert (await ann.send("/sign-out", "x" * 600_000, Content_Type=form)).status == 413
        assert (await ann.send("/sign-out", "a=1&" * 3_000, Content_Type=form)).status == 400
        assert (await ann.send("/sign-out", b"a=%ff", Content_Type=form)).status == 400


async def test_every_answer_forbids_what_pages_do_not_need(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann:
        paths = (
            "",
            "/sign-in",
            "/events",
            "/dead-letters",
            "/nothing-here",
            "/static/console.css",
            "/static/no",
        )
        for path in paths:
            answer = await ann.see(path)
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
            if "html" in answer.headers["Content-Type"]:
                assert not re.search(
                    r"<script(?![^>]* src=\"/console/static/)|\son\w+=|\sstyle=|<style", answer.text
                )
        assert (await ann.see("/nothing-here")).status == 404
        assert (await ann.send("/events", {})).status == 405


async def test_without_signatures_an_account_comes_in_with_the_operators_token(tmp_path: Path) -> None:
    async with (
        open_desk(tmp_path / "data", auth=AuthMode.NONE) as desk,
        Visitor(desk.node.url, desk.node.operator_token) as somebody,
    ):
        assert (await somebody.try_to_sign_in("123456789012", "any")).status == 403
        page = await somebody.try_to_sign_in("123456789012", desk.node.operator_token)
        assert (page.status, "123456789012" in page.words) == (200, True)
        assert "Customer" in page.words
