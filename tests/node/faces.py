"""The admin face of a folder that a test has opened."""

from partnerbus.api.admin.face import AdminFace
from partnerbus.api.admin.request import AdminServices
from partnerbus.kernel.clock import Clock
from partnerbus.node.folder import Opened


def admin_face(found: Opened, clock: Clock) -> AdminFace:
    """The face as a command without a server has it."""
    return AdminFace(
        AdminServices(
            accounts=found.accounts,
            catalog=found.catalog,
            store=found.store,
            clock=clock,
            secrets=found.secrets,
            redrive=found.store.redrive,
        )
    )
