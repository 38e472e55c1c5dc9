"""docs/quotas.md, made from the table of quotas.

`python -m partnerbus.node.quotas_page > docs/quotas.md` writes it anew.
"""

import sys

from partnerbus.model.quotas import Quota, table

HEAD = """# Quotas

Generated from `partnerbus.model.quotas`; do not edit.

What would be more is refused with `LimitExceededException`, a policy that is longer with
`PolicyLengthExceededException`. The defaults are the service's. An operator changes them for one account,
also those that the service never changes:

```
partnerbus account quota list 111122223333
partnerbus account quota set 111122223333 rules-per-bus 2000
partnerbus account quota reset 111122223333 rules-per-bus
```

The admin face has them as `GET /_partnerbus/accounts/ACCOUNT/quotas`, and `PUT` (`{"value": 2000}`) and
`DELETE` of `/_partnerbus/accounts/ACCOUNT/quotas/NAME`. A change counts from the next call on; what is above
a lower quota stays, and may still be changed. Counts are for one region. Without authentication accounts
need not exist; those that do not have the defaults.

Of the rates, calls in excess are refused with `ThrottlingException` (HTTP 400), which every SDK tries again
after a moment. They are kept for each account and region by a token bucket, which holds what a second gives
where no burst is named. [`--no-throttling`](settings.md) and `--auth none` let everybody call as fast as they
can.

| quota | default | from, to | |
| --- | --- | --- | --- |
"""

FOOT = """
The rest is the same for everybody: 10 entries of PutEvents and 20 of PutPartnerEvents in a request, their
size together ([`max-entries-bytes`](settings.md)), 10 targets in a request of PutTargets or RemoveTargets, 50
tags of a resource, and [what a pattern may be made of](patterns.md).
"""


def quotas_page() -> str:
    """The whole page."""
    return HEAD + "".join(map(_row, table().values())) + FOOT


def _row(quota: Quota) -> str:
    return f"| `{quota.name}` | {quota.default} | {quota.least}, {quota.most} | {quota.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(quotas_page())
