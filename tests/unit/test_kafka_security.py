"""Security settings: what is missing, what does not fit, and files that hold something else, all told at once."""

import re
import ssl
from pathlib import Path

import pytest
import trustme

from topology.access import acl_commands, rules, table
from topology.clients import client_arguments, faust_credentials
from topology.settings import SettingsError, load_settings

SCRAM = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "worker", "sasl_password": "open-sesame"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("one", "two"):
        made = ca.issue_cert(f"{name}.test")
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
    return folder


def faults(**given) -> dict[str, str]:
    with pytest.raises(SettingsError) as told:
        load_settings(**given)
    return {fault.split(": ")[0].removeprefix("CLEPSYDRA_"): fault for fault in told.value.faults}


def test_without_any_of_them_connections_are_plain():
    settings = load_settings(brokers="a:1")
    assert client_arguments(settings) == {"bootstrap_servers": "a:1"}
    assert faust_credentials(settings) is None


def test_sasl_over_tls_reaches_our_clients_and_fausts_alike(files):
    settings = load_settings(security_protocol="sasl_ssl", tls_ca=files / "ca.pem", **SCRAM)
    ours, fausts = client_arguments(settings), faust_credentials(settings)
    assert isinstance(ours.pop("ssl_context"), ssl.SSLContext)
    assert ours == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "worker",
        "sasl_plain_password": "open-sesame",
    }
    assert (fausts.protocol.value, fausts.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (fausts.username, fausts.password) == ("worker", "open-sesame")
    assert fausts.ssl_context.verify_mode is ssl.CERT_REQUIRED


def test_certificates_alone_reach_both_too(files):
    settings = load_settings(
        security_protocol="SSL", tls_ca=files / "ca.pem", tls_cert=files / "one.pem", tls_key=files / "one.key"
    )
    assert client_arguments(settings)["ssl_context"].check_hostname
    assert faust_credentials(settings).protocol.value == "SSL"


def test_everything_that_sasl_lacks_is_told_at_once_with_other_faults():
    assert faults(security_protocol="SASL_SSL", port=70_000, tls_cert="/nowhere").keys() == {
        "SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD", "TLS_CERT", "PORT",
    }  # fmt: skip


def test_what_is_set_and_would_not_be_used_is_refused_not_passed_over(files):
    """Somebody who sets a password and forgets the protocol believes that the connection is secured."""
    assert faults(**SCRAM).keys() == {"SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD"}
    assert "set SSL or SASL_SSL" in faults(tls_ca=files / "ca.pem")["TLS_CA"]


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"tls_ca": "one.key"}, "TLS_CA", "holds no certificates"),
        ({"tls_ca": "gone.pem"}, "TLS_CA", "there is no file"),
        ({"tls_cert": "one.pem"}, "TLS_KEY", "comes with CLEPSYDRA_TLS_CERT"),
        ({"tls_key": "one.key"}, "TLS_KEY", "comes with CLEPSYDRA_TLS_CERT"),
        ({"tls_cert": "one.pem", "tls_key": "two.key"}, "TLS_KEY_PASSWORD", "does not open"),
    ],
)
def test_files_that_do_not_fit_are_named(files, given, field, said):
    found = faults(security_protocol="SSL", **{name: files / file for name, file in given.items()})
    assert said in found[field]


def test_no_fault_shows_a_password():
    assert "open-sesame" not in str(faults(**SCRAM))


def test_the_table_of_rights_in_the_operations_manual_is_the_one_that_is_tested():
    assert table() in Path("docs/operations.md").read_text()


def test_rights_become_commands_for_an_admin():
    script = acl_commands("User:c", rules("p.", ["orders.*", "bills"])["courier"], brokers="k:1")
    lines = script.splitlines()
    assert all(
        line.startswith("kafka-acls.sh --bootstrap-server k:1 --add --allow-principal User:c --") for line in lines
    )
    assert "--group p.courier --resource-pattern-type prefixed --operation Read" in script
    assert re.search(r"--topic orders\. --resource-pattern-type prefixed --operation Write\n", script)
    assert re.search(r"--topic bills --resource-pattern-type literal --operation Write\n", script)


def test_every_rule_stays_within_the_prefix():
    assert {rule.name[:2] for found in rules("p.").values() for rule in found} == {"p."}


def test_no_client_is_made_elsewhere_without_what_secures_it():
    made = {
        str(file)
        for package in ("agents", "topology", "gateway")
        for file in Path(package).rglob("*.py")
        if re.search(r"bootstrap_servers\b", file.read_text())
    }
    assert made == {
        "topology/clients.py",
        "topology/producer.py",
        "agents/channels/kafka.py",
        "topology/embedded_kafka.py",  # asks its own plain listener whether it is up
    }, "use topology.clients.client_arguments"
