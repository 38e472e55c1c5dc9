"""What is not quite HTTP, sent over raw sockets."""

import pytest

from tests.edge.world import TOKEN, read_reply, until

PROBE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody speaks TLS
        b"GARBAGE\r\n\r\n",
        b"POST /\r\n\r\n",
        b"POST / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",  # no Host
        b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
        b"POST / HTTP/1.1\nHost: a\n\n",
    ],
)
async def test_what_is_malformed_is_refused_and_the_connection_closed(world, sent):
    async with world.connected() as (reader, writer):
        writer.write(sent + PROBE)
        reply = await read_reply(reader)
        assert reply.status == 400
        assert reply.headers["connection"] == "close"
        assert "error" in reply.json
        assert await reader.read() == b""
    assert world.log() == ""


async def test_a_malformed_chunk_ends_the_request(world):
    request = world.signed().without("Content-Length").having(Transfer_Encoding="chunked")
    reply = await world.raw(request.wire().removesuffix(b"{}") + b"zz\r\n{}\r\n")
    assert reply.status == 400
    assert (await world.call()).status == 200
    assert world.log() == ""


async def test_after_an_error_the_connection_goes_on(world):
    async with world.connected() as (reader, writer):
        for _ in range(3):
            writer.write(world.signed().without("Authorization").wire())
            assert (await read_reply(reader)).status == 403
            writer.write(world.signed().wire())
            assert (await read_reply(reader)).status == 200


async def test_pipelined_requests_are_answered_in_order(world):
    names = ["a", "b", "c", "d"]
    async with world.connected() as (reader, writer):
        requests = [world.signed(b'{"Name":"%s"}' % name.encode()).wire() for name in names]
        refused = world.signed().without("Authorization").wire()
        writer.write(requests[0] + refused + requests[1] + requests[2] + requests[3])
        replies = [await read_reply(reader) for _ in range(5)]
    assert [reply.status for reply in replies] == [200, 403, 200, 200, 200]
    assert [reply.json["Name"] for reply in replies if reply.status == 200] == names


async def test_a_malformed_request_does_not_disturb_the_answer_before_it(world):
    async with world.connected() as (reader, writer):
        writer.write(world.signed(b'{"Name":"a"}', operation="EnableRule").wire())
        await world.gate.entered.wait()
        writer.write(b"GARBAGE\r\n\r\n")
        await until(lambda: any(connection._deaf for connection in world.server._connections()))
        world.gate.opened.set()
        reply = await read_reply(reader)
        assert reply.status == 200
        assert await reader.read() == b""


async def test_http_1_0_is_answered_and_closed(world):
    async with world.connected() as (reader, writer):
        writer.write(world.signed().wire("1.0"))
        assert (await read_reply(reader)).status == 200
        assert await reader.read() == b""


async def test_a_caller_that_waits_for_100_continue_gets_it(world):
    async with world.connected() as (reader, writer):
        request = world.signed(b'{"Name":"a"}').having(Expect="100-continue")
        writer.write(request.wire().removesuffix(request.body))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(request.body)
        assert (await read_reply(reader)).json["Name"] == "a"


async def test_a_caller_that_is_refused_is_not_asked_to_continue(world):
    request = world.signed().having(Expect="100-continue", Content_Length="100000000")
    assert (await world.raw(request.wire().removesuffix(b"{}"))).status == 413


# -- what is asked ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [None, "", "DescribeEventBus", "awsevents.DescribeEventBus", "AWSEvents."])
async def test_a_target_that_names_no_operation(world, target):
    request = world.signed().without("X-Amz-Target")
    reply = await world.ask(request if target is None else request.having(X_Amz_Target=target))
    assert reply.error[:2] == (404, "UnknownOperationException")


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/x-amz-json-1.0"])
async def test_another_content_type(world, kind):
    request = world.signed().without("Content-Type")
    reply = await world.ask(request if kind is None else request.having(Content_Type=kind))
    assert reply.error == (
        404,
        "UnknownOperationException",
        "The Content-Type of a request must be application/x-amz-json-1.1.",
    )


async def test_a_content_type_with_parameters(world):
    request = world.signed(Content_Type="Application/X-Amz-Json-1.1; charset=utf-8")
    assert (await world.ask(request)).status == 200


@pytest.mark.parametrize(
    "line",
    [b"GET /", b"GET /x", b"POST /x", b"POST //", b"OPTIONS /", b"POST /healthz", b"GET /_partnerbusx"],
)
async def test_elsewhere_there_is_nothing(world, line):
    reply = await world.raw(line + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    assert reply.status == 404
    assert reply.json["error"].startswith("There is nothing here.")


async def test_an_absolute_url_is_a_path(world):
    reply = await world.raw(b"GET http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert reply.status == 200


# -- probes ----------------------------------------------------------------------------------------------


async def get(world, path, **headers):
    lines = [f"GET {path} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in headers.items())]
    return await world.raw("\r\n".join(lines).encode() + b"\r\n\r\n")


async def test_alive_and_ready(world):
    assert (await get(world, "/healthz")).json == {"status": "alive"}
    assert (await get(world, "/readyz")).json == {"status": "ready"}
    world.not_ready = "The store is closing."
    reply = await get(world, "/readyz")
    assert (reply.status, reply.json) == (503, {"error": "The store is closing."})
    assert (await get(world, "/healthz")).status == 200


async def test_metrics_are_prometheus_text(world):
    reply = await get(world, "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    assert b"# TYPE partnerbus_requests_total counter" in reply.body


async def test_head_has_no_body(world):
    async with world.connected() as (reader, writer):
        writer.write(b"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        writer.write(PROBE)
        assert (await read_reply(reader)).json == {"status": "alive"}


# -- the operator's door ---------------------------------------------------------------------------------


async def test_the_operator_s_token_opens_the_admin_face(world):
    reply = await get(world, "/_partnerbus/accounts/1?a=b&c=%20d", Authorization=f"Bearer {TOKEN}")
    assert reply.status == 200
    asked = {"method": "GET", "path": "/accounts/1", "query": {"a": "b", "c": " d"}, "body": ""}
    assert reply.json == asked | {"viewer": {"account": None, "partner": None, "only_looks": False}}


async def test_the_admin_face_reads_bodies(world):
    head = f"POST /_partnerbus/x HTTP/1.1\r\nHost: a\r\nAuthorization: bearer {TOKEN}\r\n".encode()
    assert (await world.raw(head + b"Content-Length: 2\r\n\r\n{}")).json["body"] == "{}"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("", 401),
        ("Basic abc", 401),
        (TOKEN, 401),
        ("Bearer", 403),
        ("Bearer x", 403),
        (f"Bearer {TOKEN}x", 403),
    ],
)
async def test_without_the_token_the_door_stays_shut(world, authorization, status):
    for path in ("/_partnerbus", "/_partnerbus/", "/_partnerbus/accounts", "/%5fpartnerbus/accounts"):
        reply = await get(world, path, Authorization=authorization)
        assert reply.status == status
        assert reply.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
        assert list(reply.json) == ["error"]


async def test_bodies_for_the_operator_are_limited(world):
    head = f"POST /_partnerbus/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
    reply = await world.raw(head.encode() + b"Content-Length: 1048577\r\n\r\n")
    assert (reply.status, reply.json) == (413, {"error": "The request body is larger than 1048576 bytes."})


async def test_a_failure_of_the_admin_face_is_logged_and_tells_nothing(world):
    reply = await get(world, "/_partnerbus/broken", Authorization=f"Bearer {TOKEN}")
    assert reply.status == 500
    assert "hush" not in reply.json["error"]
    assert "hush" in world.log()


@pytest.mark.parametrize("query", ["%ff", "&".join("a" * 65)])
async def test_a_query_that_cannot_be_read(world, query):
    reply = await get(world, f"/_partnerbus/x?{query}", Authorization=f"Bearer {TOKEN}")
    assert (reply.status, reply.json) == (400, {"error": "The query cannot be read."})
