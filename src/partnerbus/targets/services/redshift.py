"""Redshift clusters and serverless workgroups: each event runs the SQL of RedshiftDataParameters.

The SQL and the other texts may be dynamic paths; the input is not sent.
"""

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.resources import Target
from partnerbus.model.target_parameters import resolved
from partnerbus.targets.aws_kind import Ask, AwsKind, document_of
from partnerbus.targets.invoker import Invocation


def _refusal(target: Target) -> str | None:
    data = target.redshift_data
    if data is None or bool(data.sql) == bool(data.sqls):
        return "RedshiftDataParameters must have either Sql or Sqls."
    return None


def _execute(invocation: Invocation, arn: Arn) -> Ask:
    assert invocation.target.redshift_data is not None
    data = resolved(invocation.target.redshift_data, document_of(invocation))
    secret = {} if data.secret_manager_arn is None else {"SecretArn": data.secret_manager_arn}
    return Ask(
        operation="BatchExecuteStatement" if data.sqls else "ExecuteStatement",
        parameters={**_where(arn), **secret},
        to_fit=msgspec.to_builtins(data),
        expects="Id",
    )


def _where(arn: Arn) -> dict[str, object]:
    if arn.service == "redshift":
        return {"ClusterIdentifier": arn.resource.removeprefix("cluster:")}
    return {"WorkgroupName": str(arn)}


REDSHIFT_CLUSTER = AwsKind(
    name="redshift-data",
    service="redshift-data",
    resource=r"cluster:[a-z][a-z0-9-]{0,62}",
    form="cluster:NAME",
    needs="RedshiftDataParameters",
    refusal=_refusal,
    call=_execute,
    token="ClientToken",  # noqa: S106 - the name of a member
)

REDSHIFT_WORKGROUP = msgspec.structs.replace(
    REDSHIFT_CLUSTER, resource=r"workgroup/[a-z0-9-]{3,64}", form="workgroup/ID"
)
