"""Ids of events: what they look like, and that they are stored beside each other."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from partnerbus.kernel.ids import FETCHED_BYTES, ID_BYTES, Ids, derived_id, id_text, time_of_id

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def test_a_drawn_id_reads_as_a_drawn_uuid() -> None:
    ids = Ids()
    for text, value in ids.drawn(NOW, 100):
        read = UUID(text)
        assert (read.version, read.variant, read.bytes) == (4, "specified in RFC 4122", value)
        assert id_text(value) == text
    assert UUID(ids.random()).version == 4


def test_ids_are_drawn_for_each() -> None:
    many = 3 * FETCHED_BYTES // ID_BYTES
    ids = Ids()
    assert len({value for _, value in ids.drawn(NOW, many)}) == many
    assert len({ids.random() for _ in range(many)}) == many
    assert Ids().drawn(NOW, 1) != Ids().drawn(NOW, 1)


def test_later_ids_are_larger() -> None:
    ids = Ids()
    batches = [[value for _, value in ids.drawn(NOW + n * MILLISECOND, 5)] for n in range(5)]
    for earlier, later in pairwise(batches):
        assert max(earlier) < min(later)


def test_a_derived_id_is_told_by_its_time_and_its_parts() -> None:
    derived = derived_id(NOW, "alert", "arn:one")
    assert UUID(id_text(derived)).version == 4
    assert UUID(bytes=derived).bytes == derived
    assert time_of_id(id_text(derived)) == NOW
    assert derived == derived_id(NOW, "alert", "arn:one")
    assert derived != derived_id(NOW, "alert", "arn:two")
    assert derived != derived_id(NOW, "alertarn:one")
    assert derived < derived_id(NOW + MILLISECOND, "alert", "arn:one")


def test_an_id_that_somebody_made_up_has_some_time_or_none() -> None:
    assert time_of_id("00000000-0000-0000-0000-000000000000") == datetime(1970, 1, 1, tzinfo=UTC)
    assert time_of_id("ffffffff-ffff-4fff-bfff-ffffffffffff") is None
    assert time_of_id("nonsense") is None
