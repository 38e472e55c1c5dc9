"""What an error of the Kafka client means for an attempt. Imported only if confluent-kafka is installed.

Where a code is listed nowhere here, the attempt is repeated: an event that was tried too often costs less
than one given up too early.
"""

from confluent_kafka import KafkaError

from partnerbus.model.reply import ErrorCode, Reply

_REFUSED_RECORDS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
    }
)
"""What no repeat can mend: the broker will not have this event in this topic."""

_NOT_LET_IN = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
_NOT_ALLOWED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_NO_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
_TOO_LATE = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT})
_UNREACHABLE = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE})

CREDENTIALS = "The Kafka brokers did not accept this node's credentials."
NOT_ALLOWED = "This node's Kafka user may not publish to {}."
NO_TOPIC = "The Kafka brokers know no topic {}."
REFUSED = "The Kafka broker does not take this event: {}."
FAILED = "The Kafka broker did not take the event: {}."
UNREACHABLE = "No Kafka broker of this node could be connected to."
UNTRUSTED = "No Kafka broker of this node could be connected to securely: TLS failed."
TOO_LATE = "The Kafka broker did not acknowledge in time."
NO_ROOM = "Too many events wait for the Kafka brokers already."


def reply_to(error: KafkaError, topic: str, trouble: KafkaError | None) -> Reply:
    """The end of an attempt that failed with `error`.

    `trouble` is what was last said about the connections: an event that waited in vain is only called late,
    and the reason is there. The library's own sentences are not passed on; they name the brokers.
    """
    code = error.code()
    if code in _TOO_LATE and trouble is not None:
        return reply_to(trouble, topic, None)
    if code in _REFUSED_RECORDS:
        return Reply(error=ErrorCode.INVALID_PARAMETER, message=REFUSED.format(error.name()))
    kind, sentence = _passing(code)
    return Reply(error=kind, message=sentence.format(topic, error.name()), retryable=True)


def _passing(code: int) -> tuple[ErrorCode, str]:
    """What time or the operator can mend, and its sentence.

    So can be a topic that is missing: Kafka cannot tell it from one that a broker has not heard of yet.
    """
    return _PASSING.get(code, (ErrorCode.ERROR_FROM_TARGET, FAILED.replace("{}", "{1}")))


_PASSING = {
    **dict.fromkeys(_NOT_LET_IN, (ErrorCode.NO_PERMISSIONS, CREDENTIALS)),
    **dict.fromkeys(_NOT_ALLOWED, (ErrorCode.NO_PERMISSIONS, NOT_ALLOWED)),
    **dict.fromkeys(_NO_TOPIC, (ErrorCode.NO_RESOURCE, NO_TOPIC)),
    **dict.fromkeys(_TOO_LATE, (ErrorCode.TIMEOUT, TOO_LATE)),
    **dict.fromkeys(_UNREACHABLE, (ErrorCode.CONNECTION_FAILURE, UNREACHABLE)),
    KafkaError._SSL: (ErrorCode.CONNECTION_FAILURE, UNTRUSTED),
    KafkaError._QUEUE_FULL: (ErrorCode.RESOURCE_LIMIT_EXCEEDED, NO_ROOM),
    KafkaError.THROTTLING_QUOTA_EXCEEDED: (ErrorCode.THROTTLING, FAILED.replace("{}", "{1}")),
}
