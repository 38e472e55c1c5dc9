"""The ids that repeats are told by."""

import uuid

from partnerbus.engine.publish import derived_id


def test_a_derived_id_is_the_id_of_the_event_that_it_makes():
    derived = derived_id("alert", "arn:one")
    assert uuid.UUID(bytes=derived).version == 4
    assert uuid.UUID(bytes=derived, version=4).bytes == derived
    assert derived == derived_id("alert", "arn:one") != derived_id("alert", "arn:two")
