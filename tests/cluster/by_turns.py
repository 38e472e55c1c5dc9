"""Runs a script whose boto3 clients call several addresses by turns: `python by_turns.py URLS SCRIPT …`."""

import itertools
import runpy
import sys
from typing import Any

import boto3

_make_client: Any = boto3.client


class Turns:
    """A client that is another one at each call."""

    def __init__(self, *given: Any, endpoint_url: str, **options: Any) -> None:
        clients = [_make_client(*given, endpoint_url=url, **options) for url in URLS]
        self._clients = itertools.cycle(clients)

    def __getattr__(self, name: str) -> Any:
        return getattr(next(self._clients), name)


if __name__ == "__main__":
    URLS = sys.argv[1].split(",")
    boto3.client = Turns  # type: ignore[assignment]
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
