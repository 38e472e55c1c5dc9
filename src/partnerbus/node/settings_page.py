"""docs/settings.md, made from the settings table.

`python -m partnerbus.node.settings_page > docs/settings.md` writes it anew.
"""

import sys
from enum import StrEnum

from partnerbus.node.settings import Setting, table

HEAD = """# Settings

Generated from `partnerbus.node.settings`; do not edit.

The same settings are read from four places. The command line wins over the environment, the environment
over the file that `--config` (or `PARTNERBUS_CONFIG`) names, the file over the default. A key that is no
setting, or a value that cannot be used, ends the start with a sentence and exit status 2.

```
partnerbus serve --keep-events-seconds 600   # command line; true and false are --test-clock, --no-test-clock
PARTNERBUS_KEEP_EVENTS_SECONDS=600           # environment
keep-events-seconds = 600                    # file, TOML
```

In the file, what names begin with may be a table. `aws-endpoints` is a table itself; as text it is
`sqs=http://127.0.0.1:9324,sns=http://127.0.0.1:4566`.

```
[aws.endpoints]
sqs = "http://127.0.0.1:9324"
execute-api = "http://127.0.0.1:4566/apis/{api}"   # {api} becomes the id of the API; appsync too
```

| setting | environment | takes | default | |
| --- | --- | --- | --- | --- |
"""

FOOT = """
Credentials for AWS targets are botocore's own: the environment (`AWS_ACCESS_KEY_ID`, …), `~/.aws`, or the
machine's role.
"""


def settings_page() -> str:
    """The whole page."""
    return HEAD + "".join(_row(setting) for setting in table().values()) + FOOT


def _row(setting: Setting) -> str:
    cells = [
        f"`{setting.option}`",
        f"`{setting.variable}`",
        setting.takes,
        _default(setting.default),
        setting.help,
    ]
    return "| " + " | ".join(cells) + " |\n"


def _default(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value in ("", {}):
        return "empty"
    return f"`{value.value if isinstance(value, StrEnum) else value}`"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
