"""Who looks: the operator of the node, or an account with one of its access keys."""

from enum import StrEnum

import msgspec


class Role(StrEnum):
    OPERATOR = "operator"
    PARTNER = "partner"
    CUSTOMER = "customer"


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose eyes an answer is for: the operator's if there is no `account`.

    An account sees what is its own. One that publishes for a `partner` (a domain) also sees that partner's
    sources, and what their customers let it see. Who `only_looks` sees all of that and changes nothing: so
    the operator sees what an account sees.
    """

    account: str | None = None
    partner: str | None = None
    only_looks: bool = False

    @property
    def role(self) -> Role:
        if self.account is None:
            return Role.OPERATOR
        return Role.CUSTOMER if self.partner is None else Role.PARTNER

    @property
    def is_operator(self) -> bool:
        return self.role is Role.OPERATOR

    def is_own(self, account: str) -> bool:
        """Whether what belongs to `account` may be seen in full."""
        return self.is_operator or self.account == account


OPERATOR = Viewer()
