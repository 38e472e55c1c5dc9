"""What the settings of a node say of its targets."""

from pathlib import Path

from partnerbus.node.settings import Settings
from partnerbus.targets.addresses import parse_networks
from partnerbus.targets.kafka_topic import KafkaSettings
from partnerbus.targets.nats_subject import NatsSettings
from partnerbus.targets.registry import TargetSettings


def target_settings(settings: Settings) -> TargetSettings:
    """Where targets may be, and what reaches those that are not named by a URL."""
    return TargetSettings(
        allow_private=settings.allow_private_targets,
        networks=parse_networks(settings.allow_target_networks),
        aws_endpoint_url=settings.aws_endpoint_url or None,
        aws_endpoints=settings.aws_endpoints,
        files=_path(settings.file_targets),
        stdout=settings.stdout_targets,
        nats=_nats(settings),
        kafka=_kafka(settings),
    )


def _nats(settings: Settings) -> NatsSettings:
    return NatsSettings(
        servers=_servers(settings.nats_servers),
        subjects=settings.nats_subjects,
        credentials=_path(settings.nats_credentials),
        authorities=_path(settings.nats_ca),
        certificate=_path(settings.nats_certificate),
    )


def _kafka(settings: Settings) -> KafkaSettings:
    return KafkaSettings(
        servers=_servers(settings.kafka_servers),
        topics=settings.kafka_topics,
        properties=_path(settings.kafka_properties),
    )


def _servers(text: str) -> list[str]:
    return [server for server in text.split(",") if server]


def _path(text: str) -> Path | None:
    return Path(text) if text else None
