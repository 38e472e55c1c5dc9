"""The life of a partner source with boto3, against a server that takes anybody's word:

    partnerbus serve --auth none --allow-private-targets
    python examples/partner_events.py

Without authentication the access key id names the account, and every account may act as every partner.
With authentication, give each client the key that `partnerbus account create` printed.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3

ENDPOINT = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4010"
SOURCE = "aws.partner/acme.com/tickets"


def client(account):
    return boto3.client(
        "events",
        endpoint_url=ENDPOINT,
        region_name="eu-west-1",
        aws_access_key_id=account,
        aws_secret_access_key="any",
    )


partner, customer = client("999988887777"), client("111122223333")

# The partner offers a source to one customer, who sees it PENDING and accepts it by creating its bus.
partner.create_partner_event_source(Name=SOURCE, Account="111122223333")
print("offered:", customer.describe_event_source(Name=SOURCE)["State"])
customer.create_event_bus(Name=SOURCE, EventSourceName=SOURCE)
print("accepted:", customer.describe_event_source(Name=SOURCE)["State"])


# The customer has a webhook, ...
arrived: list = []


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


webhook = HTTPServer(("127.0.0.1", 0), Webhook)
webhook.timeout = 30

# ... an API destination that calls it, and a rule that sends it the closed tickets.
connection = customer.create_connection(
    Name="tickets",
    AuthorizationType="API_KEY",
    AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Api-Key", "ApiKeyValue": "secret"}},
)
destination = customer.create_api_destination(
    Name="tickets",
    ConnectionArn=connection["ConnectionArn"],
    InvocationEndpoint=f"http://127.0.0.1:{webhook.server_port}/",
    HttpMethod="POST",
)
pattern = {"detail": {"status": ["closed"]}}
customer.put_rule(Name="closed", EventBusName=SOURCE, EventPattern=json.dumps(pattern))
customer.put_targets(
    Rule="closed", EventBusName=SOURCE, Targets=[{"Id": "webhook", "Arn": destination["ApiDestinationArn"]}]
)


def publish(status):
    entry = {"Source": SOURCE, "DetailType": "ticket", "Detail": json.dumps({"status": status})}
    return partner.put_partner_events(Entries=[entry])["Entries"][0]["EventId"]


# An open ticket matches no rule; a closed one arrives.
publish("open")
sent = publish("closed")
webhook.handle_request()
print("arrived:", arrived[-1]["detail"], "as sent:", arrived[-1]["id"] == sent)

# A paused source accepts events and drops them; an active one delivers again.
customer.deactivate_event_source(Name=SOURCE)
publish("closed")
customer.activate_event_source(Name=SOURCE)
sent = publish("closed")
webhook.handle_request()
print("after the pause:", arrived[-1]["detail"], "as sent:", arrived[-1]["id"] == sent)

# The customer clears up, and the partner withdraws the source.
customer.remove_targets(Rule="closed", EventBusName=SOURCE, Ids=["webhook"])
customer.delete_rule(Name="closed", EventBusName=SOURCE)
customer.delete_event_bus(Name=SOURCE)
customer.delete_api_destination(Name="tickets")
customer.delete_connection(Name="tickets")
partner.delete_partner_event_source(Name=SOURCE, Account="111122223333")
print("left:", customer.list_event_sources(NamePrefix=SOURCE)["EventSources"])
