"""Machines that are network namespaces on one bridge: their links can be cut, as a cable is pulled.

Everything is in namespaces of its own, the bridge and the test too: no packet meets the machine's network.
"""

import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

CLONE_NEWNET = 0x40000000
HERE = "10.77.0.254"
"""The test's own address."""


class Machines:
    """So many machines, each with an address of its own. Make it with `machines`."""

    def __init__(self, name: str, count: int) -> None:
        self._hub = name
        self._names = [f"{name}-{number}" for number in range(count)]
        self.addresses = [f"10.77.0.{number + 1}" for number in range(count)]

    def within(self, number: int) -> Sequence[str]:
        """What a command begins with that runs on a machine."""
        return ("ip", "netns", "exec", self._names[number])

    def cut(self, number: int) -> None:
        """From now on no packet goes to or from a machine; nobody is told."""
        _ip("-n", self._hub, "link", "set", f"to{number}", "down")

    def mend(self, number: int) -> None:
        _ip("-n", self._hub, "link", "set", f"to{number}", "up")

    def build(self, stack: ExitStack) -> None:
        for name in (self._hub, *self._names):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", self._hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._hub, "address", "add", f"{HERE}/24", "dev", "bridge")
        _ip("-n", self._hub, "link", "set", "bridge", "up")
        for number, (name, address) in enumerate(zip(self._names, self.addresses, strict=True)):
            end = ("peer", "name", "eth0", "netns", name)
            _ip("-n", self._hub, "link", "add", f"to{number}", "type", "veth", *end)
            _ip("-n", self._hub, "link", "set", f"to{number}", "master", "bridge", "up")
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")


@contextmanager
def machines(count: int) -> Iterator[Machines]:
    """Machines, and this thread beside them for the length of the block. Skips where nobody may have any."""
    made = Machines(f"pb{secrets.token_hex(3)}", count)
    with ExitStack() as stack:
        try:
            made.build(stack)
            stack.enter_context(_inside(made._hub))
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            pytest.skip(f"NETWORK NAMESPACES ARE NOT PERMITTED HERE, so no cable was pulled: {said.strip()}")
        yield made


@contextmanager
def _inside(name: str) -> Iterator[None]:
    """Let this thread, and what it starts, be in a namespace."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True)
