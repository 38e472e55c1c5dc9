"""The admin face of a folder that a test has opened."""

from partnerbus.api.admin.face import AdminFace
from partnerbus.api.admin.request import AdminServices, Redriver
from partnerbus.kernel.clock import Clock
from partnerbus.node.folder import Opened
from partnerbus.store.line_files import LineReader


def admin_face(found: Opened, clock: Clock, redrive: Redriver | None = None) -> AdminFace:
    """The face as a command without a server has it, perhaps with another way to redrive."""
    return AdminFace(
        AdminServices(
            accounts=found.accounts,
            catalog=found.catalog,
            store=found.store,
            clock=clock,
            secrets=found.secrets,
            redrive=redrive or found.store.redrive,
            url_refusal=_any_url,
            bus_logs=LineReader(found.folder.bus_logs),
            traces=LineReader(found.folder.traces),
        )
    )


async def _any_url(_: str) -> None:
    """Every URL may be sent to."""
