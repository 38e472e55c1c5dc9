"""How to talk to the Kafka brokers: a file of librdkafka's own properties, as Kafka's operators have them.

`name=value`, one a line; empty lines and lines that begin with `#` are skipped. Only what says how to be
let in may be there: the rest is this node's promise (that a broker acknowledges, once, in time).
"""

import re
from collections.abc import Mapping
from pathlib import Path

from partnerbus.kernel.errors import ConfigurationError

NAME = re.compile(r"(security\.protocol|(sasl|ssl|https)\.[a-z.]+|enable\.ssl\.certificate\.verification)")
_SHORTEST_SECRET = 4


def read_properties(file: Path) -> Mapping[str, str]:
    """What `file` says; a `ConfigurationError` names the line that cannot be, never its value."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"kafka-properties: {file} cannot be read") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise ConfigurationError(f"kafka-properties: line {number} of {file} is not name=value")
        if not NAME.fullmatch(name.strip()):
            raise ConfigurationError(
                f"kafka-properties: the name in line {number} of {file} is none that may be set there: "
                "security.protocol, sasl.…, ssl.…"
            )
        found[name.strip()] = value.strip()
    return found


def without_values(text: str, properties: Mapping[str, str]) -> str:
    """`text`, a complaint of the library's, without what the file says: it may be a misplaced secret."""
    for value in sorted(properties.values(), key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    return text
