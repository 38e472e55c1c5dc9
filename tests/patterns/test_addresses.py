"""Many patterns that ask for addresses, in blocks of every size, as they come and go."""

import json
import random
from ipaddress import ip_address

from partnerbus.patterns import PatternIndex, parse_pattern
from partnerbus.patterns.addresses import AddressTable
from partnerbus.testing.pattern_oracle import oracle_matches

FEW = (0, 1, 2, 255, 256)


def an_address(chance, *, long):
    """One of few, so that blocks often hold it."""
    size = 128 if long else 32
    number = chance.choice(FEW) << chance.choice((8, size // 2, size - 9)) | chance.choice(FEW)
    return str(ip_address(number.to_bytes(size // 8, "big")))


def a_matcher(chance):
    long = chance.random() < 0.5
    address = an_address(chance, long=long)
    match chance.randrange(4):
        case 0:
            return address
        case 1:
            return {"exactly": address}
        case _:
            return {"cidr": f"{address}/{chance.randrange(128 if long else 32)}"}


def test_blocks_and_addresses_come_and_go():
    chance = random.Random("blocks")
    index = PatternIndex[int](compile_after=0)
    rules: dict[int, str] = {}
    found = 0
    for step in range(600):
        key = chance.randrange(100)
        if step > 300 and key in rules:
            index.remove(key)
            del rules[key]
        else:
            matchers = [a_matcher(chance) for _ in range(chance.randrange(1, 4))]
            rules[key] = json.dumps({"source": ["s"], "detail": {"ip": matchers}})
            index.add(key, parse_pattern(rules[key]))
        value = chance.choice([an_address(chance, long=True), an_address(chance, long=False), "x.y", 7, None])
        event = json.dumps({"source": "s", "detail": {"ip": value}}).encode()
        wanted = [key for key, text in rules.items() if oracle_matches(text, event)]
        assert sorted(index.match_json(event)) == sorted(wanted)
        found += len(wanted)
    assert found > 600


def test_what_is_removed_is_not_looked_for():
    table = AddressTable()
    for adding in (True, False):
        table.change(bytes([10, 0, 0, 0]), 8, 1, adding=adding)
        table.change(bytes([10, 0, 0, 7]), 8, 2, adding=adding)
        assert table.hits("10.1.2.3") == (3 if adding else 0)
    assert table.blocks == {}
