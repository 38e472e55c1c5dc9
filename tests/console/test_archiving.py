"""Archives and replays on the pages: what is said, what is done, and what is refused."""

import json
from datetime import timedelta

from partnerbus.console.door import NOT_OUR_FORM
from partnerbus.console.screens.archives import KEEPS_A_PATTERN, NOT_DAYS
from partnerbus.console.screens.replays import NO_INSTANT
from tests.admin.world import ANN, BOB, Desk, _run
from tests.console.keeping import (
    AGAIN,
    AGAIN_PAGE,
    KEPT,
    KEPT_PAGE,
    MINE,
    OWN_BUS,
    WINDOW,
    keep,
    keep_many,
    paid,
    replay,
    start_slow_replay,
    until_ended,
)
from tests.console.test_pages import NASTY
from tests.console.visitor import visitor

BACKTEST = f"/backtest?rule={MINE}"


async def test_an_archive_is_made_tried_changed_and_deleted(desk: Desk) -> None:
    for number in range(4):
        await desk.put_own(ANN, {"n": number})
    async with visitor(desk, ANN) as ann:
        assert "There are no archives" in (await ann.see("/archives")).words
        assert "There is no archive" in (await ann.see("/replays/new")).words
        narrow = json.dumps({"detail": {"n": [{"numeric": [">", 1]}]}})
        tried = await ann.submit("/archives/new", "/archives/try", bus=OWN_BUS, pattern=narrow)
        assert "It matches 2 of the 4 newest events." in tried.words
        tried = await ann.submit("/archives/new", "/archives/try", bus=OWN_BUS, pattern="")
        assert "Without a pattern, every event is kept." in tried.words
        form = {"bus": OWN_BUS, "name": "kept", "pattern": narrow, "retention": "30", "description": "<b>"}
        done = await ann.submit("/archives/new", "/archives/new", **form)
        assert "The archive is there." in done.words
        await desk.put_own(ANN, {"n": 0})
        await desk.put_own(ANN, {"n": 7})
        page = (await ann.see("/archives")).words
        assert "kept <b> default enabled 30 days now 1 " in page
        change = {"archive": KEPT, "bus": OWN_BUS, "pattern": narrow, "description": ""}
        done = await ann.submit(KEPT_PAGE, "/archives/archive", do="save", retention="1", **change)
        assert "The archive is changed" in done.words
        assert "Kept 1 day " in done.words
        assert "<b>" not in done.words
        wider = json.dumps({"detail": {"n": [{"numeric": [">", 0]}]}})
        tried = await ann.submit(
            KEPT_PAGE, "/archives/archive", do="try", retention="1", **change | {"pattern": wider}
        )
        assert "It matches 4 of the 6 newest events." in tried.words
        assert wider in tried.words
        done = await ann.submit(KEPT_PAGE, "/archives/archive", archive=KEPT, do="delete")
        assert "The archive kept and what it kept are deleted." in done.words
        assert (await ann.see(KEPT_PAGE)).status == 404


NO_ARCHIVES: list[tuple[dict[str, str], str]] = [
    ({"pattern": "no JSON"}, "pattern"),
    ({"pattern": NASTY}, "pattern"),
    ({"name": NASTY}, "archiveName"),
    ({"name": ""}, "archiveName"),
    ({"retention": "many"}, NOT_DAYS),
    ({"retention": "-1"}, NOT_DAYS),
    ({"retention": "9" * 5}, "At most 36,500 days"),
    ({"retention": "9" * 40}, NOT_DAYS),
    ({"bus": NASTY}, "eventSourceArn"),
    ({"bus": ""}, "eventSourceArn"),
    ({"name": "kept"}, "already exists"),
]


async def test_what_makes_no_archive_is_said_and_left_in_the_form(desk: Desk) -> None:
    await keep(desk, 0)
    async with visitor(desk, ANN) as ann:
        for fields, sentence in NO_ARCHIVES:
            given = {"bus": OWN_BUS, "name": "more", "pattern": paid(), "retention": "3"} | fields
            refused = await ann.submit("/archives/new", "/archives/new", **given)
            assert refused.status in (400, 404), refused.words
            assert 'role="alert"' in refused.text
            assert sentence.lower() in refused.words.lower()
            assert not any(nasty in refused.text for nasty in ("<script>alert", "<img", ">49<"))
            assert f'value="{given["retention"]}"' in refused.text
        assert (await ann.see("/archives")).text.count("/console/archives/archive?") == 1


async def test_a_change_that_cannot_be_leaves_the_archive_as_it_was(desk: Desk) -> None:
    await keep(desk, 0)
    narrow = {"archive": KEPT, "do": "save", "retention": "0", "pattern": paid()}
    async with visitor(desk, ANN) as ann:
        await ann.submit(KEPT_PAGE, "/archives/archive", **narrow)
        for wrong, sentence in (
            ({"pattern": ""}, KEEPS_A_PATTERN),
            ({"pattern": NASTY}, "pattern"),
            ({"retention": "x"}, NOT_DAYS),
        ):
            refused = await ann.submit(KEPT_PAGE, "/archives/archive", **narrow | wrong)
            assert (refused.status, sentence in refused.words) == (400, True), refused.words
            assert "<img" not in refused.text
        assert (await ann.submit(KEPT_PAGE, "/archives/archive", archive=KEPT, do="x")).status == 400
        assert "Kept for ever" in (await ann.see(KEPT_PAGE)).words


async def test_an_archive_says_that_its_bus_is_gone(desk: Desk) -> None:
    bus = f"arn:aws:events:us-east-1:{ANN}:event-bus/gone"
    client = desk.client(ANN)
    await _run(client.create_event_bus, Name="gone")
    await _run(client.create_archive, ArchiveName="kept", EventSourceArn=bus)
    await _run(client.delete_rule, Name="Events-Archive-kept", EventBusName="gone", Force=True)
    await _run(client.delete_event_bus, Name="gone")
    async with visitor(desk, ANN) as ann:
        assert "kept gone bus is gone for ever now 0" in (await ann.see("/archives")).words
        page = (await ann.see(KEPT_PAGE)).words
        assert "That bus was deleted: the archive keeps what it has, and gets nothing more." in page
        assert "A replay needs the bus that the archive was made for." in page
        refused = await ann.submit(
            f"/replays/new?archive={KEPT}", "/replays/new", archive=KEPT, name="again", **WINDOW
        )
        assert (refused.status, 'role="alert"' in refused.text) == (400, True)


async def test_a_replay_is_started_watched_to_its_end_and_explained(desk: Desk) -> None:
    await keep(desk, 4)
    before = len(await desk.receiver.received(2, "/hook"))
    async with visitor(desk, ANN) as ann:
        assert "Nothing was replayed yet" in (await ann.see("/replays")).words
        assert "kept, of default: 4 events" in (await ann.see("/replays/new")).words
        page = await ann.see(f"/replays/new?archive={KEPT}&rule={MINE}")
        assert f'value="{MINE}" checked' in page.text
        assert "Events-Archive-kept" not in page.text
        done = await ann.submit(
            f"/replays/new?archive={KEPT}",
            "/replays/new",
            ("rule", MINE),
            archive=KEPT,
            name="again",
            description="<i>once</i>",
            **WINDOW,
        )
        assert "The replay is started." in done.words
        await desk.node.idle()
        assert len(await desk.receiver.received(before + 2, "/hook")) == before + 2
        page = await ann.see(AGAIN_PAGE)
        for words in (
            "completed",
            "Every event of the window was given to the rules.",
            "4 events replayed, up to those of",
            "Unmatched 2 of them Delivered 2 deliveries Pending 0",
            "Rules mine",
        ):
            assert words in page.words
        assert "every 1s" not in page.text
        assert "<i>once" not in page.text
        assert "again completed" in (await ann.see(KEPT_PAGE)).words
        assert "again archive kept completed" in (await ann.see("/replays")).words
        refused = await ann.submit(AGAIN_PAGE, "/replays/cancel", replay=AGAIN)
        assert (refused.status, "not in a valid state" in refused.words) == (400, True)


async def test_a_replay_is_stopped(desk: Desk) -> None:
    await keep_many(desk, 40)
    async with visitor(desk, ANN) as ann:
        await start_slow_replay(desk, ann)
        page = await ann.see(AGAIN_PAGE)
        assert "running" in page.words
        assert "behind whatever is live" in page.words
        assert 'hx-trigger="every 1s"' in page.text
        part = await ann.see(f"/replays/progress?arn={AGAIN}")
        assert "<html" not in part.text
        assert f"{(await replay(desk)).ledger.accepted} events replayed" in part.words
        done = await ann.submit(AGAIN_PAGE, "/replays/cancel", replay=AGAIN)
        assert "The replay is being stopped." in done.words
        assert (await until_ended(desk)).state == "CANCELLED"
        page = await ann.see(AGAIN_PAGE)
        assert "It was stopped before its end. What was sent until then stays sent." in page.words
        assert "every 1s" not in page.text


async def test_a_replay_whose_archive_goes_fails_with_its_reason(desk: Desk) -> None:
    await keep_many(desk, 40)
    async with visitor(desk, ANN) as ann:
        await start_slow_replay(desk, ann)
        await ann.submit(KEPT_PAGE, "/archives/archive", archive=KEPT, do="delete")
        assert (await until_ended(desk)).state == "FAILED"
        page = (await ann.see(AGAIN_PAGE)).words
        assert "It cannot go on. Archive kept does not exist." in page


NO_REPLAYS: list[tuple[dict[str, str], str]] = [
    ({"since": WINDOW["until"], "until": WINDOW["since"]}, "EventStartTime must be before EventEndTime"),
    ({"since": "yesterday"}, NO_INSTANT),
    ({"until": ""}, NO_INSTANT),
    ({"since": "0001-01-01T00:00:00+23:00", "until": "0001-01-01T00:00:00"}, NO_INSTANT),
    ({"name": NASTY}, "replayName"),
    ({"name": ""}, "replayName"),
    ({"rule": NASTY}, "FilterArns"),
    ({"rule": f"arn:aws:events:us-east-1:{ANN}:rule/none"}, "does not exist on EventBus"),
]


async def test_what_starts_no_replay_is_said_and_left_in_the_form(desk: Desk) -> None:
    await keep(desk, 1)
    async with visitor(desk, ANN) as ann:
        for fields, sentence in NO_REPLAYS:
            given = {"archive": KEPT, "name": "again"} | WINDOW | fields
            refused = await ann.submit(f"/replays/new?archive={KEPT}", "/replays/new", **given)
            assert (refused.status, 'role="alert"' in refused.text) == (400, True), refused.words
            assert sentence.lower() in refused.words.lower()
            assert "<img" not in refused.text
        assert "Nothing was replayed yet" in (await ann.see("/replays")).words


async def test_buses_and_rules_lead_to_their_archives(desk: Desk) -> None:
    await keep(desk, 1)
    async with visitor(desk, ANN) as ann:
        quoted = OWN_BUS.replace(":", "%3A").replace("/", "%2F")
        assert f"/console/archives?bus={quoted}" in (await ann.see("/buses")).text
        assert "Archives of default" in (await ann.see(f"/archives?bus={OWN_BUS}")).words
        assert "mine" in (await ann.see(f"/rules?bus={OWN_BUS}")).words
        page = await ann.see(f"/rules/rule?arn={MINE}")
        assert "Archives of the bus: kept . Replay to this rule" in page.words
        other = f"{OWN_BUS[: -len('default')]}other"
        assert "This bus has no archive" in (await ann.see(f"/archives?bus={other}")).words


async def test_what_is_ann_s_is_not_bobs(desk: Desk) -> None:
    await keep(desk, 3)
    async with visitor(desk, ANN) as ann:
        form = {"archive": KEPT, "name": "again"} | WINDOW
        await ann.submit(f"/replays/new?archive={KEPT}", "/replays/new", **form)
        await desk.node.idle()
    async with visitor(desk, BOB) as bob, visitor(desk, None) as operator:
        for path in (
            KEPT_PAGE,
            AGAIN_PAGE,
            f"/replays/progress?arn={AGAIN}",
            f"/replays/new?archive={KEPT}",
            BACKTEST,
        ):
            assert (await bob.see(path)).status == 404
            assert (await operator.see(path)).status == 200
        for path in ("/archives", "/replays", f"/archives?bus={OWN_BUS}", f"/replays?archive={KEPT}"):
            page = await bob.see(path)
            assert not any(link in page.text for link in ("/archives/archive?", "/replays/replay?"))
            assert ANN in (await operator.see(path)).text
        for to, fields in (
            ("/archives/archive", {"archive": KEPT, "do": "delete"}),
            ("/archives/archive", {"archive": KEPT, "do": "save", "retention": "1"}),
            ("/replays/new", {"archive": KEPT, "name": "theirs"} | WINDOW),
            ("/replays/cancel", {"replay": AGAIN}),
            ("/backtest", {"over": KEPT, "pattern": paid()}),
            ("/backtest", {"rule": MINE, "pattern": paid(1)}),
        ):
            assert (await bob.submit("/archives", to, **fields)).status == 404, to
        fields = {"bus": OWN_BUS, "name": "theirs", "retention": "0"}
        assert (await bob.submit("/archives", "/archives/new", **fields)).status in (400, 404)
        tried = await bob.submit("/archives", "/backtest", over=OWN_BUS, pattern=paid())
        assert "There are no events there" in tried.words
        done = await operator.submit(KEPT_PAGE, "/archives/archive", archive=KEPT, do="save", retention="7")
        assert "Kept 7 days" in done.words
        await operator.submit(KEPT_PAGE, "/archives/archive", archive=KEPT, do="delete")
        assert "There are no archives" in (await operator.see("/archives")).words


FORMS: list[tuple[str, dict[str, str]]] = [
    ("/archives/new", {"bus": OWN_BUS, "name": "more", "retention": "0"}),
    ("/archives/try", {"bus": OWN_BUS, "pattern": paid()}),
    ("/archives/archive", {"archive": KEPT, "do": "delete"}),
    ("/replays/new", {"archive": KEPT, "name": "again"} | WINDOW),
    ("/replays/cancel", {"replay": AGAIN}),
    ("/backtest", {"rule": MINE, "pattern": paid(1)}),
    ("/rules/rule", {"rule": MINE, "do": "put-input", "input": "constant", "text": "1"}),
]


async def test_a_form_that_is_not_ours_does_nothing(desk: Desk) -> None:
    await keep(desk, 1)
    async with visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        theirs, own = (await bob.see("")).form_token, (await ann.see("")).form_token
        for to, fields in FORMS:
            for token in ("", theirs):
                refused = await ann.send(to, {"form_token": token} | fields)
                assert (refused.status, NOT_OUR_FORM in refused.words) == (403, True), to
            refused = await ann.send(to, {"form_token": own} | fields, Origin="https://elsewhere.example")
            assert refused.status == 403
        assert (await ann.see("/archives")).text.count("/console/archives/archive?") == 1
        assert "Nothing was replayed yet" in (await ann.see("/replays")).words


async def test_how_far_a_replay_is_grows_to_one(desk: Desk) -> None:
    await keep_many(desk, 40)
    async with visitor(desk, ANN) as ann:
        await start_slow_replay(desk, ann)
        seen = [(await replay(desk)).progress]
        while (await replay(desk)).is_active:
            await desk.clock.advance(timedelta(seconds=1), desk.node.idle)
            seen.append((await replay(desk)).progress)
        assert seen == sorted(seen)
        assert seen[-1] == 1
        assert any(0 < each < 1 for each in seen), seen
