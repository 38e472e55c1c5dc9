"""What all values of the registry are."""

import msgspec


class Resource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """One thing in the registry. Each kind has a `key`: where the registry keeps it."""
