"""Which AWS services this node calls, and where."""

from collections.abc import Mapping

import msgspec

SERVICES = frozenset(
    {
        "appsync",
        "batch",
        "codebuild",
        "codepipeline",
        "ecs",
        "execute-api",
        "firehose",
        "glue",
        "kinesis",
        "lambda",
        "logs",
        "redshift-data",
        "sagemaker",
        "secretsmanager",
        "sns",
        "sqs",
        "ssm",
        "stepfunctions",
    }
)
"""The services that are called, by the names that botocore and the AWS CLI have for them.

Secrets Manager is called only where the operator names an endpoint; the others are targets.
"""


class AwsEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where the operator has services called instead of at AWS: `everywhere`, or by service."""

    everywhere: str | None = None
    by_service: Mapping[str, str] = {}

    def url(self, service: str) -> str | None:
        """The URL that stands in for a service; None for AWS itself."""
        return self.by_service.get(service, self.everywhere)
