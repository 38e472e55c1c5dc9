"""What the event loop knows of what was committed, so that the common path is short."""

from partnerbus.store.embedded.tail import Tail
from partnerbus.store.embedded.watchers import Watchers


class Seen:
    """The newest records, and who watches the registry.

    Each verb says what its commands change here; that happens only after their commit, in the order of the
    commits, before the caller is answered.
    """

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.watchers = Watchers()
