"""The settings table: where values come from, what is refused, what the page says."""

from pathlib import Path

import pytest

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.node.load_settings import load_settings
from partnerbus.node.settings import AuthMode, LogLevel, Settings, table
from partnerbus.node.settings_page import settings_page

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_defaults_are_those_of_the_table():
    assert load_settings({}, {}) == Settings()
    assert list(table()) == list(Settings.__struct_fields__)


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(tmp_path):
    file = tmp_path / "partnerbus.toml"
    file.write_text('port = 1\nskew-seconds = 2\nhost = "::1"\n')
    environment = {"PARTNERBUS_PORT": "11", "PARTNERBUS_SKEW_SECONDS": "12"}
    settings = load_settings({"port": "21"}, environment, file)
    assert (settings.port, settings.skew_seconds, settings.host) == (21, 12, "::1")
    assert settings.max_entries_bytes == 1_048_576


def test_values_get_their_types(tmp_path):
    file = tmp_path / "partnerbus.toml"
    file.write_text('test-clock = true\nlog-level = "debug"\ndata = "/srv/bus"\n')
    settings = load_settings({}, {"PARTNERBUS_AUTH": "none", "PARTNERBUS_ALLOW_PRIVATE_TARGETS": "1"}, file)
    assert settings.test_clock is True
    assert settings.allow_private_targets is True
    assert settings.log_level is LogLevel.DEBUG
    assert settings.auth is AuthMode.NONE
    assert settings.data == Path("/srv/bus")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "http"),
        ("port", "65536"),
        ("port", "-1"),
        ("auth", "basic"),
        ("test_clock", "perhaps"),
        ("region", "Frankfurt"),
        ("default_account", "12345"),
        ("aws_endpoint_url", "localhost:4566"),
        ("aws_endpoints", "sqs"),
        ("aws_endpoints", "sqs=localhost:4566"),
        ("aws_endpoints", "queues=http://127.0.0.1:4566"),
        ("nats_servers", "localhost:4222"),
        ("nats_servers", "nats://user:password@localhost"),
        ("nats_subjects", "orders..>"),
        ("nats_subjects", "$SYS.>"),
        ("kafka_servers", "10.0.0.7"),
        ("kafka_servers", "kafka://10.0.0.7:9092"),
        ("kafka_topics", "orders/*"),
        ("kafka_topics", "{customer}.*"),
        ("data", ""),
        ("max_entries_bytes", "1.5"),
    ],
)
def test_a_bad_value_is_a_sentence_wherever_it_stands(tmp_path, name, value):
    setting = table()[name]
    file = tmp_path / "partnerbus.toml"
    file.write_text(f"{setting.option} = '{value}'\n")
    for load, where in (
        (lambda: load_settings({name: value}, {}), f"--{setting.option} is {value!r}"),
        (lambda: load_settings({}, {setting.variable: value}), f"{setting.variable} is {value!r}"),
        (lambda: load_settings({}, {}, file), f"{setting.option} in {file} is {value!r}"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            load()
        assert str(refused.value) == f"{where}, but it must be {setting.takes}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("region", "us-east-1\n"),
        ("region", "us-east-1234"),
        ("default_account", "111122223333\n"),
        ("default_account", "١" * 12),
        ("aws_endpoint_url", "http://127.0.0.1:5000\n"),
    ],
)
def test_what_only_looks_right_is_refused_too(name, value):
    with pytest.raises(ConfigurationError, match="but it must be text like"):
        load_settings({name: value}, {})


def test_urls_by_service_from_everywhere(tmp_path):
    file = tmp_path / "partnerbus.toml"
    file.write_text('[aws.endpoints]\nsqs = "http://127.0.0.1:1"\nsns = "https://sns.test/"\n')
    urls = {"sqs": "http://127.0.0.1:1", "sns": "https://sns.test/"}
    assert load_settings({}, {}, file).aws_endpoints == urls
    text = "sqs=http://127.0.0.1:1, sns=https://sns.test/"
    assert load_settings({"aws_endpoints": text}, {}).aws_endpoints == urls
    assert load_settings({}, {"PARTNERBUS_AWS_ENDPOINTS": text}).aws_endpoints == urls


@pytest.mark.parametrize(
    "text",
    [
        "[aws.endpoints]\nsqs = 1\n",
        '[aws.endpoints]\nqueues = "http://127.0.0.1:1"\n',
        '[aws.endpoints.sqs]\nurl = "http://127.0.0.1:1"\n',
        "aws-endpoints = [1]\n",
    ],
)
def test_urls_that_are_none_are_a_sentence(tmp_path, text):
    file = tmp_path / "partnerbus.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"aws-endpoints in .* must be service=URL pairs"):
        load_settings({}, {}, file)


def test_a_table_of_the_file_is_what_names_begin_with(tmp_path):
    file = tmp_path / "partnerbus.toml"
    file.write_text('[aws]\nendpoint-url = "http://127.0.0.1:5000"\n')
    assert load_settings({}, {}, file).aws_endpoint_url == "http://127.0.0.1:5000"
    file.write_text('[aws]\nendpoint = "http://127.0.0.1:5000"\n')
    with pytest.raises(ConfigurationError, match=r"'aws-endpoint' in .* did you mean aws-endpoint"):
        load_settings({}, {}, file)


def test_a_number_in_the_file_may_not_be_true_or_a_list(tmp_path):
    file = tmp_path / "partnerbus.toml"
    for value in ("true", "[1]", "1.5"):
        file.write_text(f"port = {value}\n")
        with pytest.raises(ConfigurationError, match="port in"):
            load_settings({}, {}, file)


@pytest.mark.parametrize("text", ["ten", "10.0.0.1/8", "8.8.8.0/24", "169.254.0.0/16", "0.0.0.0/0"])
def test_only_private_networks_can_be_allowed(text):
    with pytest.raises(ConfigurationError, match="allow-target-networks: "):
        load_settings({"allow_target_networks": text}, {})
    assert load_settings({"allow_target_networks": "10.1.0.0/16,::1/128"}, {})


def test_an_unknown_name_is_refused_with_the_one_that_was_meant(tmp_path):
    with pytest.raises(ConfigurationError, match="did you mean PARTNERBUS_PORT"):
        load_settings({}, {"PARTNERBUS_PROT": "1"})
    file = tmp_path / "partnerbus.toml"
    file.write_text("ports = 1\n")
    with pytest.raises(ConfigurationError, match=r"'ports' in .* did you mean port\?"):
        load_settings({}, {}, file)


def test_variables_that_are_not_settings_are_left_alone():
    others = {
        "PARTNERBUS_FAILPOINTS": "store.append.committed=kill@3",
        "PARTNERBUS_SERVICE_HOST": "10.0.0.1",
        "PARTNERBUS_PORT_4010_TCP_ADDR": "10.0.0.1",
        "PATH": "/bin",
    }
    assert load_settings({}, others) == Settings()


def test_a_file_that_is_missing_or_no_toml_is_a_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_settings({}, {}, tmp_path / "absent.toml")
    file = tmp_path / "partnerbus.toml"
    file.write_text("port 1")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        load_settings({}, {}, file)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "bus.example.com"])
def test_no_authentication_is_for_this_machine_unless_said_otherwise(host):
    given = {"auth": "none", "host": host}
    with pytest.raises(ConfigurationError, match="--allow-remote-without-auth"):
        load_settings(given, {})
    assert load_settings(given | {"allow_remote_without_auth": "true"}, {}).host == host
    assert load_settings({"host": host}, {}).auth is AuthMode.SIGV4


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_no_authentication_on_a_loopback_address_is_fine(host):
    assert load_settings({"auth": "none", "host": host}, {}).host == host


def test_the_page_is_made_from_the_table():
    assert PAGE.read_text() == settings_page(), "python -m partnerbus.node.settings_page > docs/settings.md"
