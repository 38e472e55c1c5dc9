"""What went over the wire, as it is described: cut, and without secrets wherever they stand."""

import base64
import gzip
from urllib.parse import quote

import pytest

from partnerbus.model.exchange import BODY_SHOWN_BYTES
from partnerbus.model.reply import Reply
from partnerbus.targets.outbound import Failure, OutboundFailure, OutboundRequest, OutboundResponse
from partnerbus.targets.wire import Describer, Wire

SECRET = 'pa"ss/word ü'


def request(body: bytes = b"", **headers: str) -> OutboundRequest:
    return OutboundRequest(
        method="POST", url=f"https://x.example/?k={quote(SECRET)}", headers=headers, body=body
    )


def response(body: bytes = b"", **headers: str) -> OutboundResponse:
    return OutboundResponse(status=200, headers=headers, body=body)


def noted(sent: OutboundRequest, came: OutboundResponse | OutboundFailure) -> Wire:
    wire = Wire()
    wire.note(sent, came, (SECRET,))
    return wire


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        'pa\\"ss/word ü',
    ],
)
def test_no_spelling_of_a_secret_is_left_anywhere(spelled: str) -> None:
    body = f'{{"a":"{spelled}"}}'.encode()
    wire = noted(request(body, X=f"is {spelled}"), response(body, echo=spelled))
    sent, came = Describer().sent(wire, b"input"), Describer().answered(wire, Reply())
    assert came is not None
    for text in (sent.body, sent.url, sent.headers["X"], came.body, came.headers["echo"]):
        assert text is not None
        assert "***" in text
        assert "word" not in text
        assert "cGEi" not in text


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Proxy-Authorization", "X-Amz-Security-Token"])
def test_some_headers_are_hidden_by_name(name: str) -> None:
    wire = noted(request(b"", **{name: "anything"}), response(b"", **{"set-cookie": "session"}))
    came = Describer().answered(wire, Reply())
    assert Describer().sent(wire, b"").headers == {name: "***"}
    assert came is not None
    assert came.headers == {"set-cookie": "***"}


@pytest.mark.parametrize("before", [0, BODY_SHOWN_BYTES - 5, BODY_SHOWN_BYTES, 2 * BODY_SHOWN_BYTES - 5])
@pytest.mark.parametrize("behind", [0, 10_000])
def test_a_secret_at_the_cut_leaves_no_piece(before: int, behind: int) -> None:
    body = b"." * before + SECRET.encode() + b"." * behind
    wire = noted(request(body), response(body))
    sent, came = Describer().sent(wire, b""), Describer().answered(wire, Reply())
    assert came is not None
    for text in (sent.body, came.body):
        assert len(text.encode()) <= BODY_SHOWN_BYTES
        assert 'pa"' not in text
    assert sent.body_bytes == len(body)


def test_a_packed_answer_is_shown_unpacked() -> None:
    wire = noted(
        request(), response(gzip.compress(f"hello {SECRET}".encode()), **{"content-encoding": "gzip"})
    )
    came = Describer().answered(wire, Reply())
    assert came is not None
    assert came.body == "hello ***"


def test_without_an_answer_there_is_none() -> None:
    failure = OutboundFailure(failure=Failure.TIMEOUT, message="late")
    assert Describer().answered(noted(request(), failure), Reply(status=None)) is None


def test_what_is_no_http_request_is_its_input_and_the_reply() -> None:
    wire = Wire()
    sent = Describer().sent(wire, b"x" * 5_000)
    assert (sent.method, len(sent.body), sent.body_bytes) == (None, BODY_SHOWN_BYTES, 5_000)
    assert Describer().answered(wire, Reply()) is None
    came = Describer().answered(wire, Reply(status=400, body_head="no"))
    assert came is not None
    assert (came.status, came.body) == (400, "no")


def test_many_secrets_that_shrink_leave_no_piece_of_the_last() -> None:
    body = SECRET.encode() * 1_000
    wire = noted(request(body), response(body * 10))
    came = Describer().answered(wire, Reply())
    assert came is not None
    for text in (Describer().sent(wire, b"").body, came.body):
        assert set(text) == {"*"}


def test_what_is_described_together_hides_each_its_own() -> None:
    """Headers that requests share are described once, and yet not with what another's secrets have left."""
    describer = Describer()
    shared = request(b"", X="one and two")
    shown = []
    for secrets in (("one",), ("two",), (), ("one",)):
        wire = Wire()
        wire.note(shared, response(b"", echo="one and two"), secrets)
        came = describer.answered(wire, Reply())
        assert came is not None
        shown.append((describer.sent(wire, b"").headers["X"], came.headers["echo"]))
    hidden = ["*** and two", "one and ***", "one and two", "*** and two"]
    assert shown == [(text, text) for text in hidden]


def test_a_wire_knows_what_it_holds() -> None:
    assert Wire().size_bytes == 0
    assert noted(request(b"12345"), response(b"123")).size_bytes == 8
    assert noted(request(b"12345"), OutboundFailure(failure=Failure.TIMEOUT, message="late")).size_bytes == 5
