"""What a matching workload is, and the shapes of a partner bus.

Every rule and every event is made from its number alone: the same number gives the same bytes, in any order,
so a million rules need not be kept to be known.
"""

import random
from collections.abc import Callable, Sequence

import msgspec

Json = dict[str, object]


class Workload(msgspec.Struct, frozen=True):
    """Rules and the events they are matched against; `near(n)` are all rules that event n could match."""

    name: str
    rules: int
    rule: Callable[[int], str]
    event: Callable[[int], bytes]
    near: Callable[[int], Sequence[int]]


def seeded(*what: object) -> random.Random:
    """Chance that is the same in every run."""
    return random.Random(":".join(map(str, what)))


def encode(value: object) -> bytes:
    """Compact JSON; floats in their shortest form."""
    return msgspec.json.encode(value)


def hex_id(prefix: str, number: int, digits: int = 12) -> str:
    """An identifier as services draw them: it tells nothing of its number."""
    return f"{prefix}_{(number * 0x9E3779B97F4A7C15 + 0x7F4A7C15) % (1 << 4 * digits):0{digits}x}"


PARTNER_SOURCE = "aws.partner/acme.com/111122223333/orders"
DETAIL_TYPES = ("Order placed", "Order changed", "Order shipped", "Payment settled", "Refund issued")
TYPES = ("standard", "express", "subscription", "wholesale")
REGIONS = ("eu-central", "eu-west", "us-east", "us-west", "ap-south")
CHANNELS = (
    "web/checkout",
    "web/cart",
    "app/ios/checkout",
    "app/android/checkout",
    "store/till",
    "phone/agent",
)
CURRENCIES = ("eur", "usd", "gbp", "jpy", "chf")
RULES_PER_TENANT = 10
LARGEST_TOTAL = 50_000
OWN_TOTALS = LARGEST_TOTAL / 200
"""How far a rule's own bounds are apart."""
GOLDEN_RATIO = (5**0.5 - 1) / 2


def partner(rules: int) -> Workload:
    """Ten rules a tenant: source, detail-type, tenant and type, half of them with one more clause."""
    return _partner_workload(f"partner-{rules}", rules, partner_rule)


def partner_ranges(rules: int) -> Workload:
    """The same, and every rule asks for a range of totals."""
    return _partner_workload(f"partner-ranges-{rules}", rules, partner_range_rule)


def own_bounds(rules: int) -> Workload:
    """Rules without a text that tells one from another: each asks for a total and a price within its own."""

    def near(number: int) -> Sequence[int]:
        total = event_total(number)
        return [n for n in range(rules) if _lowest_total(n) <= total < _lowest_total(n) + OWN_TOTALS]

    def event_total(number: int) -> float:
        order: Json = msgspec.json.decode(own_bounds_event(number))["detail"]["order"]
        return float(str(order["total"]))

    return Workload(f"own-bounds-{rules}", rules, own_bounds_rule, own_bounds_event, near)


def own_bounds_rule(number: int) -> str:
    """A rule whose bounds no other has; they are spread evenly, whatever the count."""
    low = _lowest_total(number)
    order = {
        "total": [{"numeric": [">=", low, "<", low + OWN_TOTALS]}],
        "lines": {"price": [{"numeric": [">", low / 2]}]},
    }
    return encode({"source": [PARTNER_SOURCE], "detail": {"order": order}}).decode()


def own_bounds_event(number: int) -> bytes:
    """An event of some tenant."""
    return partner_event(number, number)


def _lowest_total(number: int) -> float:
    return round(number * GOLDEN_RATIO % 1 * LARGEST_TOTAL, 4)


def _partner_workload(name: str, rules: int, rule: Callable[[int], str]) -> Workload:
    tenants = rules // RULES_PER_TENANT

    def tenant_of(number: int) -> int:
        return seeded("tenant", number).randrange(tenants)

    def near(number: int) -> Sequence[int]:
        first = tenant_of(number) * RULES_PER_TENANT
        return range(first, first + RULES_PER_TENANT)

    return Workload(name, rules, rule, lambda number: partner_event(number, tenant_of(number)), near)


def partner_rule(number: int) -> str:
    """A rule of tenant `number // 10`."""
    chance = seeded("partner rule", number)
    return _partner_pattern(number, chance, _extra_clause(number % RULES_PER_TENANT, chance))


def partner_range_rule(number: int) -> str:
    """A rule of tenant `number // 10` with a range that half of all totals are in."""
    chance = seeded("partner range rule", number)
    return _partner_pattern(number, chance, {"order": {"total": [_range(chance)]}})


def _partner_pattern(number: int, chance: random.Random, extra: Json) -> str:
    tenant, kind = divmod(number, RULES_PER_TENANT)
    pattern: Json = {
        "source": [PARTNER_SOURCE],
        "detail-type": [DETAIL_TYPES[kind % len(DETAIL_TYPES)]],
        "detail": {
            "tenant": [hex_id("tnt", tenant)],
            "type": chance.sample(TYPES, chance.choice((1, 2))),
            **extra,
        },
    }
    return encode(pattern).decode()


def _extra_clause(kind: int, chance: random.Random) -> Json:
    match kind:
        case 1:
            return {"order": {"total": [_range(chance)]}}
        case 3:
            return {"region": [{"prefix": chance.choice(("eu-", "us-", "ap-"))}]}
        case 4:
            return {
                "order": {"channel": [{"wildcard": chance.choice(("*/checkout", "web/*", "app/*/checkout"))}]}
            }
        case 6:
            return {"order": {"currency": [{"anything-but": chance.sample(CURRENCIES, 2)}]}}
        case 8:
            return {"order": {"total": [{"numeric": [">", chance.randrange(LARGEST_TOTAL)]}]}}
        case _:
            return {}


def _range(chance: random.Random) -> Json:
    bottom = chance.randrange(LARGEST_TOTAL // 2)
    return {"numeric": [">=", bottom, "<", bottom + LARGEST_TOTAL // 2]}


def partner_event(number: int, tenant: int) -> bytes:
    """An event of `tenant`, about 0.87 KB, as the bus stores it."""
    chance = seeded("partner event", number)
    lines = [
        {
            "sku": f"SKU-{chance.randrange(10**6):06d}",
            "quantity": chance.randrange(1, 9),
            "price": _price(chance),
        }
        for _ in range(3)
    ]
    order = {
        "id": hex_id("ord", chance.getrandbits(40), 24),
        "total": _price(chance),
        "currency": chance.choice(CURRENCIES),
        "channel": chance.choice(CHANNELS),
        "placed_at": f"2026-03-{chance.randrange(1, 29):02d}T10:{chance.randrange(60):02d}:00Z",
        "lines": lines,
        "gift": chance.random() < 0.1,
        "delivery": {"carrier": "Northway Parcel", "days": chance.randrange(1, 9), "window": "08:00-12:00"},
    }
    detail: Json = {
        "tenant": hex_id("tnt", tenant),
        "type": chance.choice(TYPES),
        "region": chance.choice(REGIONS),
        "trace": hex_id("trc", chance.getrandbits(60), 32),
        "order": order,
        "customer": {
            "id": hex_id("cus", chance.getrandbits(40), 24),
            "segment": chance.choice(("new", "returning", "staff")),
            "locale": "en-GB",
            "since": f"20{chance.randrange(10, 26)}-01-01",
            "note": None,
        },
    }
    return encode(envelope(PARTNER_SOURCE, chance.choice(DETAIL_TYPES), chance, detail))


def _price(chance: random.Random) -> float:
    return round(chance.random() * LARGEST_TOTAL, 2)


def envelope(source: str, detail_type: str, chance: random.Random, detail: Json) -> Json:
    """A whole event around `detail`."""
    bits = f"{chance.getrandbits(128):032x}"
    at = (chance.randrange(1, 29), chance.randrange(24), chance.randrange(60))
    return {
        "version": "0",
        "id": f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}",
        "detail-type": detail_type,
        "source": source,
        "account": "111122223333",
        "time": "2026-03-{:02d}T{:02d}:{:02d}:00Z".format(*at),
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }
