"""Client certificates of connections, which the service has no word for. Keys are taken, never given back."""

from datetime import datetime

import msgspec

from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route
from partnerbus.model.resources import Connection
from partnerbus.targets.client_certificates import (
    CertificateRefused,
    describe_certificate,
    seal_certificate,
)


class ConnectionFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which connection of a name is meant, if several accounts or regions have one."""

    account: str | None = None
    region: str | None = None


class GivenCertificate(ConnectionFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Certificates (the leaf first) and the private key, in PEM."""

    certificate: str
    private_key: str


class CertificateView(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of a connection; the others are None if it has none."""

    connection: str
    subject: str | None = None
    issuer: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None


async def show_certificate(services: AdminServices, request: Request) -> CertificateView:
    return _view(_find(services, request.path["name"], request.query_as(ConnectionFilter)))


async def set_certificate(services: AdminServices, request: Request) -> CertificateView:
    given = request.body_as(GivenCertificate)
    before = _find(services, request.path["name"], given)
    try:
        certificate = seal_certificate(
            given.certificate, given.private_key, services.secrets, services.clock.now()
        )
    except CertificateRefused as refused:
        raise AdminRefused(str(refused)) from None
    return await _replace(services, before, msgspec.structs.replace(before, certificate=certificate))


async def delete_certificate(services: AdminServices, request: Request) -> CertificateView:
    before = _find(services, request.path["name"], request.query_as(ConnectionFilter))
    return await _replace(services, before, msgspec.structs.replace(before, certificate=None))


async def _replace(services: AdminServices, before: Connection, after: Connection) -> CertificateView:
    await services.catalog.replace(before, after)
    return _view(after)


def _find(services: AdminServices, name: str, wanted: ConnectionFilter) -> Connection:
    found = [
        each
        for each in services.catalog.list(Connection, "connection:")
        if each.name == name
        if wanted.account in (None, each.account) and wanted.region in (None, each.region)
    ]
    if not found:
        raise AdminRefused(f"there is no connection {name}", 404)
    if len(found) > 1:
        raise AdminRefused(f"there are {len(found)} connections {name}; say whose, and in which region")
    return found[0]


def _view(connection: Connection) -> CertificateView:
    if connection.certificate is None:
        return CertificateView(connection=connection.arn)
    described = describe_certificate(connection.certificate)
    return CertificateView(connection=connection.arn, **msgspec.structs.asdict(described))


ROUTES = (
    Route("GET", "/connections/{name}/certificate", show_certificate, query=ConnectionFilter),
    Route("PUT", "/connections/{name}/certificate", set_certificate, body=GivenCertificate),
    Route("DELETE", "/connections/{name}/certificate", delete_certificate, query=ConnectionFilter),
)
