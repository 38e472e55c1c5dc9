"""Ids of events: what they look like, and that they are stored beside each other."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from partnerbus.kernel.ids import derived_id, drawn_ids, id_text, random_id

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def test_a_drawn_id_reads_as_a_drawn_uuid() -> None:
    for text, value in drawn_ids(NOW, 100):
        read = UUID(text)
        assert (read.version, read.variant, read.bytes) == (4, "specified in RFC 4122", value)
        assert id_text(value) == text
    assert UUID(random_id()).version == 4


def test_ids_are_drawn_for_each() -> None:
    assert len({value for _, value in drawn_ids(NOW, 1_000)}) == 1_000
    assert next(drawn_ids(NOW, 1)) != next(drawn_ids(NOW, 1))
    assert random_id() != random_id()


def test_later_ids_are_larger() -> None:
    batches = [[value for _, value in drawn_ids(NOW + n * MILLISECOND, 5)] for n in range(5)]
    for earlier, later in pairwise(batches):
        assert max(earlier) < min(later)


def test_a_derived_id_is_told_by_its_time_and_its_parts() -> None:
    derived = derived_id(NOW, "alert", "arn:one")
    assert UUID(id_text(derived)).version == 4
    assert UUID(bytes=derived).bytes == derived
    assert derived == derived_id(NOW, "alert", "arn:one")
    assert derived != derived_id(NOW, "alert", "arn:two")
    assert derived != derived_id(NOW, "alertarn:one")
    assert derived < derived_id(NOW + MILLISECOND, "alert", "arn:one")
