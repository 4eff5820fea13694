"""The protocol's two pipes, from the runner's side."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from runner.channel import Channel
from shared import wire


class Ends:
    def __init__(self) -> None:
        requests, self.writer = os.pipe()
        self.reader, messages = os.pipe()
        self.channel = Channel(requests, messages)


@pytest.fixture
def ends() -> Iterator[Ends]:
    found = Ends()
    yield found
    for descriptor in (found.writer, found.reader, found.channel.requests, found.channel.messages):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_the_first_line_is_waited_for_and_the_next_are_kept(ends: Ends) -> None:
    os.write(ends.writer, b"one\ntwo\nthr")
    assert ends.channel.read_line() == b"one"
    os.write(ends.writer, b"ee\n")
    assert ends.channel.take_lines() == [b"two", b"three"]


def test_the_end_is_noticed(ends: Ends) -> None:
    os.write(ends.writer, b"half")
    os.close(ends.writer)
    assert ends.channel.read_line() is None
    assert ends.channel.ended


def test_a_full_pipe_keeps_a_message_for_later(ends: Ends) -> None:
    for _ in range(3):
        ends.channel.say({"text": "x" * 50_000})
    assert ends.channel.behind
    splitter, lines = wire.LineSplitter(), []
    while ends.channel.behind:
        lines += splitter.feed(os.read(ends.reader, 1 << 20))
        ends.channel.flush()
    lines += splitter.feed(os.read(ends.reader, 1 << 20))
    assert [len(wire.decode(line)["text"]) for line in lines] == [50_000] * 3


def test_a_reader_that_is_gone_is_no_error(ends: Ends) -> None:
    os.close(ends.reader)
    ends.channel.say({"type": "ready"})
    assert not ends.channel.behind
    assert ends.channel.finish(0.1)


def test_waiting_for_a_reader_that_never_reads_ends(ends: Ends) -> None:
    ends.channel.say({"text": "x" * 500_000})
    assert not ends.channel.finish(0.05)
