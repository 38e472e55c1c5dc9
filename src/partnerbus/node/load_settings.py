"""Reading the settings from all their places, and refusing what is wrong, with the place's name.

The command line wins over the environment, the environment over the file, the file over the default.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

import msgspec

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.node.settings import PREFIX, AuthMode, Setting, Settings, table
from partnerbus.targets.addresses import parse_networks

OTHER_VARIABLES = frozenset({"PARTNERBUS_CONFIG", "PARTNERBUS_FAILPOINTS", "PARTNERBUS_SECRET_ACCESS_KEY"})
"""Variables of ours that are not settings: the settings file, the fault tests', `account create`'s."""

SERVICE_LINK = re.compile(r"PARTNERBUS_(SERVICE_(HOST|PORT)|PORT_\d+_)")
"""What Kubernetes adds to the environment of every pod beside a service that is named partnerbus."""


def load_settings(
    command_line: Mapping[str, object],
    environment: Mapping[str, str] = os.environ,
    config: Path | None = None,
) -> Settings:
    """The settings from all their places; a `ConfigurationError` says what is wrong with which.

    `command_line` holds, by field name, what was given there.
    """
    values = {
        **(_from_file(config) if config is not None else {}),
        **_from_environment(environment),
        **{
            name: table()[name].read(value, f"--{table()[name].option}")
            for name, value in command_line.items()
        },
    }
    settings = msgspec.structs.replace(Settings(), **values)
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Refuse what is dangerous together, and networks that are none."""
    try:
        parse_networks(settings.allow_target_networks)
    except ValueError as error:
        raise ConfigurationError(f"allow-target-networks: {error}") from None
    if not settings.store and settings.role != Settings().role:
        raise ConfigurationError("role divides the work of a cluster, but no store is set that nodes share")
    if (
        settings.auth is AuthMode.NONE
        and not is_loopback(settings.host)
        and not settings.allow_remote_without_auth
    ):
        raise ConfigurationError(
            f"auth none on {settings.host} would let anybody on the network publish and read; "
            "listen on 127.0.0.1, use auth sigv4, or say --allow-remote-without-auth"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    known = {setting.variable: setting for setting in table().values()}
    values: dict[str, object] = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES or SERVICE_LINK.match(variable):
            continue
        if variable not in known:
            raise ConfigurationError(
                f"the environment variable {variable} is no setting{_hint(variable, known)}"
            )
        values[known[variable].name] = known[variable].read(environment[variable], variable)
    return values


def _from_file(path: Path) -> dict[str, object]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the settings file {path} is not TOML: {error}") from None
    return dict(_read_file_values(found, path))


def _read_file_values(found: Mapping[str, object], path: Path) -> Iterator[tuple[str, object]]:
    known = {setting.option: setting for setting in table().values()}
    for option, value in _joined(found, known):
        if option not in known:
            raise ConfigurationError(f"{option!r} in {path} is no setting{_hint(option, known)}")
        yield known[option].name, known[option].read(value, f"{option} in {path}")


def _joined(
    found: Mapping[str, object], known: Collection[str], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Tables may be used for what names share: `[aws.endpoints]` is the setting `aws-endpoints`."""
    for key, value in found.items():
        option = prefix + key
        if isinstance(value, dict) and option not in known:
            yield from _joined(value, known, f"{option}-")
        else:
            yield option, value


def _hint(word: str, known: Mapping[str, Setting]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
