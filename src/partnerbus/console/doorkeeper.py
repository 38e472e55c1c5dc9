"""Who may come in: holders of access keys, and who has the operator's token."""

import hmac
from collections.abc import Callable

import msgspec

from partnerbus.api.admin.viewer import OPERATOR, Viewer
from partnerbus.engine.accounts import ACCOUNT_ID, KeyHolder

OPERATOR_NAMES = ("", "operator")
NOBODYS_SECRET = "x" * 40
"""What is compared where there is no key, so that this takes as long."""


class Badge(msgspec.Struct, frozen=True):
    """How somebody came in: as the operator, with an access key, or as an account whose word is taken.

    The operator may look `through` the eyes of an account.
    """

    access_key: str | None = None
    account: str | None = None
    through: Viewer | None = None


class Doorkeeper:
    """Checks what is presented at the sign-in, and whether a badge is still good.

    Where requests are not signed (`takes_their_word`), an account comes in by its number and the operator's
    token: a web page cannot know that, so pages of others cannot use a server on the same machine.
    """

    def __init__(
        self,
        holder: Callable[[str], KeyHolder | None],
        is_account: Callable[[str], bool],
        operator_token: str,
        *,
        takes_their_word: bool = False,
    ) -> None:
        self._holder = holder
        self._is_account = is_account
        self._token = operator_token.encode()
        self._takes_their_word = takes_their_word

    def admit(self, name: str, secret: str) -> Badge | None:
        """A badge for an access key and its secret, or for the operator's token; None if they are none."""
        presented = secret.encode("utf-8", "replace")
        if name in OPERATOR_NAMES:
            return Badge() if self._is_token(presented) else None
        holder = self._holder(name)
        expected = holder.secret if holder is not None else NOBODYS_SECRET
        if hmac.compare_digest(presented, expected.encode()) and holder is not None:
            return Badge(access_key=name)
        if self._takes_word_of(name) and self._is_token(presented):
            return Badge(account=name)
        return None

    def knows(self, account: str) -> bool:
        """Whether there is such an account, or it needs none to come in as it."""
        return self._is_account(account) or self._takes_word_of(account)

    def viewer(self, badge: Badge) -> Viewer | None:
        """Whose badge it is by now; None once its key was deleted."""
        if badge.account is not None:
            return Viewer(account=badge.account)
        if badge.access_key is None:
            return badge.through or OPERATOR
        holder = self._holder(badge.access_key)
        return Viewer(account=holder.account, partner=holder.partner) if holder is not None else None

    def _takes_word_of(self, account: str) -> bool:
        return self._takes_their_word and ACCOUNT_ID.fullmatch(account) is not None

    def _is_token(self, presented: bytes) -> bool:
        return bool(self._token) and hmac.compare_digest(presented, self._token)
