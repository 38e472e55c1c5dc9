"""The main job, played once on this machine: `make demo`.

A partner's event reaches a customer's webhook that is down at first. Everything is real: the server is a
process of its own, the calls are signed and go through boto3, the webhook listens on a socket. It takes a
few seconds; most of them are the waits between the attempts.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import boto3

PARTNER, CUSTOMER, DOMAIN, REGION = "999988887777", "111122223333", "acme.com", "us-east-1"
SOURCE = f"aws.partner/{DOMAIN}/shop/{CUSTOMER}"
PATTERN = {"detail-type": ["order.placed"], "detail": {"total": [{"numeric": [">", 100]}]}}
ANSWERS = [503, 500, 200]
PATIENCE_SECONDS = 45
COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def main():
    """Play it; exit status 0 only if everything went as it should."""
    with tempfile.TemporaryDirectory(prefix="partnerbus-demo-") as data, Webhook(ANSWERS) as webhook:
        title("A server")
        with server(data) as (process, url):
            title("A partner and a customer")
            partner = create_account(data, url, PARTNER, "--partner", DOMAIN)
            customer = create_account(data, url, CUSTOMER)
            offer_and_accept(partner, customer)
            subscribe(customer, webhook.url)
            event_id = publish(partner)
            watch(webhook, event_id)
            balance(data)
            stop(process)
    title("Done", "every step was checked")


# -- the story -----------------------------------------------------------------------------------------------


def offer_and_accept(partner, customer):
    title("The partner offers a source, the customer accepts it")
    call(partner, "create_partner_event_source", Name=SOURCE, Account=CUSTOMER)
    seen = call(customer, "describe_event_source", show=["State", "CreatedBy"], Name=SOURCE)
    check(seen["State"] == "PENDING", "the source should be PENDING")
    call(customer, "create_event_bus", Name=SOURCE, EventSourceName=SOURCE)
    seen = call(customer, "describe_event_source", show=["State"], Name=SOURCE)
    check(seen["State"] == "ACTIVE", "the source should be ACTIVE")


def subscribe(customer, webhook_url):
    title("The customer points a rule at a webhook")
    connection = call(
        customer,
        "create_connection",
        show=["ConnectionState"],
        Name="webhook",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Api-Key", "ApiKeyValue": "for-the-demo"}},
    )
    destination = call(
        customer,
        "create_api_destination",
        show=["ApiDestinationState"],
        Name="webhook",
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=webhook_url,
        HttpMethod="POST",
    )
    call(customer, "put_rule", Name="large-orders", EventBusName=SOURCE, EventPattern=json.dumps(PATTERN))
    target = {
        "Id": "webhook",
        "Arn": destination["ApiDestinationArn"],
        "RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 60},
    }
    members = {"Rule": "large-orders", "EventBusName": SOURCE, "Targets": [target]}
    put = call(customer, "put_targets", show=["FailedEntryCount"], **members)
    check(put["FailedEntryCount"] == 0, "the target should be accepted")


def publish(partner):
    title("The partner publishes two events; the rule picks the first")
    orders = [{"order": "A-1", "total": 250}, {"order": "A-2", "total": 12}]
    entries = [
        {"Source": SOURCE, "DetailType": "order.placed", "Detail": json.dumps(order)} for order in orders
    ]
    put = call(partner, "put_partner_events", Entries=entries)
    check(put["FailedEntryCount"] == 0, "both entries should be accepted")
    return put["Entries"][0]["EventId"]


def watch(webhook, event_id):
    title("The webhook fails twice, then takes it")
    before = None
    for number, status in enumerate(ANSWERS, start=1):
        arrived_at, headers, event = webhook.next()
        waited = "at once" if before is None else f"after {arrived_at - before:.1f} s"
        say(f"attempt {number}, {waited}: answered {colour(status, 32 if status == 200 else 31)}")
        before = arrived_at
    say("the event as it arrived, with the connection's X-Api-Key:")
    say(json.dumps(event, indent=2))
    check(headers["X-Api-Key"] == "for-the-demo", "the connection should authorize the request")
    check(event["id"] == event_id, "the event should be the one that the rule picks")
    check(event["account"] == CUSTOMER, "the event should be the customer's")


def balance(data):
    title("The books balance")
    until = time.monotonic() + PATIENCE_SECONDS
    while (ledger := read_ledger(data))["pending"] and time.monotonic() < until:
        time.sleep(0.05)
    say(", ".join(f"{name} {ledger[name]}" for name in ("accepted", "unmatched", "matched", "delivered")))
    wanted = {"accepted": 2, "unmatched": 1, "matched": 1, "delivered": 1, "pending": 0}
    check(wanted.items() <= ledger.items(), f"the ledger should say {wanted}, not {ledger}")


def stop(process):
    title("SIGTERM")
    process.send_signal(signal.SIGTERM)
    status = process.wait(PATIENCE_SECONDS)
    say(f"the server finished what it had begun and exited with status {status}")
    check(status == 0, "the server should exit with status 0")


# -- the server and its commands -----------------------------------------------------------------------------


@contextmanager
def server(data):
    """A server process on a free port, and its URL."""
    arguments = ["serve", "--port", "0", "--data", data, "--allow-private-targets"]
    say(colour(f"$ partnerbus {' '.join(arguments)}", 36))
    log = Path(data, "server.log")
    with log.open("wb") as errors:
        command = partnerbus(*arguments)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment())
    assert process.stdout is not None
    try:
        line = process.stdout.readline().decode().strip()
        found = re.search(r"http://\S+:\d+", line)
        if found is None:
            sys.exit("The demo failed: the server should start.")
        say(line)
        yield process, found.group()
    except BaseException:
        print(f"The server's log:\n{log.read_text()}", file=sys.stderr)
        raise
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def create_account(data, url, account, *options):
    """Create an account on the running server; a boto3 client that signs with its key."""
    arguments = ["account", "create", account, *options, "--data", data]
    say(colour(f"$ partnerbus {' '.join(arguments)}", 36))
    made = run(*arguments, "--json")
    say(f"access key {made['access_key_id']}, and a secret that is shown this once")
    return boto3.client(
        "events",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=made["access_key_id"],
        aws_secret_access_key=made["secret_access_key"],
    )


def read_ledger(data):
    found = run("ledger", "--bus", SOURCE, "--data", data, "--json")["ledgers"]
    return found[0]["ledger"]


def run(*arguments):
    """Run a command; what it printed, which is JSON."""
    done = subprocess.run(partnerbus(*arguments), capture_output=True, text=True, env=environment())
    if done.returncode != 0:
        sys.exit(f"partnerbus {' '.join(arguments)} failed: {done.stderr}")
    return json.loads(done.stdout)


def partnerbus(*arguments):
    return [sys.executable, "-m", "partnerbus", *arguments]


def environment():
    """Ours without settings of partnerbus, which the demo gives itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PARTNERBUS_")}


# -- the webhook ---------------------------------------------------------------------------------------------


class Webhook:
    """A customer's HTTP server that answers with the given statuses in turn."""

    def __init__(self, statuses):
        self._statuses = iter(statuses)
        self._arrived: Queue = Queue()

    def __enter__(self):
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                arrived_at = time.monotonic()
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(next(webhook._statuses, 200))
                self.send_header("Content-Length", "0")
                self.end_headers()
                webhook._arrived.put((arrived_at, self.headers, event))

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/orders"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def next(self):
        """When the next request arrived, its headers and its event."""
        try:
            return self._arrived.get(timeout=PATIENCE_SECONDS)
        except Empty:
            sys.exit("The demo failed: the webhook should be called.")


# -- how it is told ------------------------------------------------------------------------------------------


def call(client, operation, show=None, **members):
    """Call an operation, and say what was called and what came back."""
    answer = getattr(client, operation)(**members)
    answer.pop("ResponseMetadata")
    caller = "partner " if "partner" in operation else "customer"
    name = "".join(word.capitalize() for word in operation.split("_"))
    told = {member: value for member, value in members.items() if member != "AuthParameters"}
    say(f"{caller}  {colour(name, 36)}  {in_words(told)}")
    say(f"          -> {in_words({member: answer[member] for member in show or answer})}")
    return answer


def title(*words):
    print(f"\n{colour(': '.join(words), 1)}", flush=True)


def say(text):
    print("\n".join(f"  {line}" for line in str(text).splitlines()), flush=True)


def in_words(members):
    shown = {name: value if isinstance(value, str) else json.dumps(value) for name, value in members.items()}
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def colour(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOURS else str(text)


def check(held, sentence):
    if not held:
        sys.exit(f"The demo failed: {sentence}.")


if __name__ == "__main__":
    os.environ["NO_PROXY"] = "127.0.0.1"
    main()
