"""What is written of an answer, and when."""

import asyncio

import pytest

from partnerbus.edge.connection import _WholeAnswers

HEAD, BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"{}"


class Recorder(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.written = []
        self.closed = False

    def write(self, data):
        self.written.append(bytes(data))

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def answers(recorder):
    return _WholeAnswers(recorder)


def test_a_head_is_written_with_its_body(recorder, answers):
    answers.write(HEAD)
    assert recorder.written == []
    answers.write(BODY)
    answers.write(HEAD)
    answers.write(BODY)
    assert recorder.written == [HEAD + BODY, HEAD + BODY]


def test_who_waits_to_be_told_to_continue_is_told_at_once(recorder, answers):
    answers.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert len(recorder.written) == 1


@pytest.mark.parametrize("end", ["flush", "close"])
def test_a_head_that_nothing_follows_is_written_too(recorder, answers, end):
    answers.write(HEAD)
    getattr(answers, end)()
    assert recorder.written == [HEAD]
    assert answers.is_closing() is recorder.closed is (end == "close")


async def test_an_answer_comes_in_one_piece(world):
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.port)
    writer.write(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = await reader.read(65_536)
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"SDKs find its API" in answer
    writer.write(b"HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = await reader.read(65_536)
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.endswith(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
