"""A broker that asks for TLS and SASL, and lets nobody do what no ACL allows. Certificates are made here."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import trustme
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from topology.embedded_kafka import EmbeddedKafka
from topology.embedded_process import free_port
from topology.producer import Kafka

PASSWORD = "open-sesame-1"
LOGIN = "org.apache.kafka.common.security.{0}LoginModule required{1};"
RESOURCES = {"Topic": 2, "Group": 3, "Cluster": 4}
PATTERNS = {"literal": 3, "prefixed": 4}
OPERATIONS = {
    "Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Alter": 7, "Describe": 8, "ClusterAction": 9,
    "DescribeConfigs": 10, "AlterConfigs": 11, "IdempotentWrite": 12,
}  # fmt: skip
ALLOW = 3


class SecureKafka(NamedTuple):
    """`open`: the plain address of a super user. `sasl` asks for a name; `mutual` for a certificate."""

    broker: EmbeddedKafka
    sasl: str
    mutual: str
    ca: Path
    client_cert: Path
    client_key: Path
    stranger_ca: Path

    @property
    def open(self) -> str:
        return self.broker.bootstrap

    def settings(self, user: str, mechanism: str = "SCRAM-SHA-512", password: str = PASSWORD) -> dict[str, str]:
        """Of a process that signs in with a name."""
        return {
            "brokers": self.sasl,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "sasl_username": user,
            "sasl_password": password,
            "tls_ca": str(self.ca),
        }


async def started(directory: Path, users: Iterable[str]) -> SecureKafka:
    ca, stranger = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(directory / "ca.pem")
    stranger.cert_pem.write_to_path(directory / "stranger.pem")
    client = ca.issue_cert("worker.test", common_name="worker")
    client.cert_chain_pems[0].write_to_path(directory / "client.pem")
    (directory / "client.key").write_bytes(client.private_key_pem.bytes())
    _keystore(ca, directory / "broker.pem")
    sasl, mutual = free_port(), free_port()
    broker = EmbeddedKafka(
        directory / "kafka",
        properties=_properties(directory, sasl, mutual, users),
        format_options=[
            part
            for user in users
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for part in ("--add-scram", f"{mechanism}=[name={user},password={PASSWORD}]")
        ],
    )
    await broker.start()
    addresses = (f"127.0.0.1:{port}" for port in (sasl, mutual))
    files = (directory / name for name in ("ca.pem", "client.pem", "client.key", "stranger.pem"))
    return SecureKafka(broker, *addresses, *files)


def _keystore(ca: trustme.CA, path: Path) -> None:
    """Key and chain in one file, the key as PKCS #8, as Kafka wants it."""
    made = ca.issue_cert("127.0.0.1", "localhost")
    key = load_pem_private_key(made.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pkcs8 + b"".join(pem.bytes() for pem in made.cert_chain_pems))


def _properties(directory: Path, sasl: int, mutual: int, users: Iterable[str]) -> dict[str, str]:
    secured = f"SIGNED://127.0.0.1:{sasl},MUTUAL://127.0.0.1:{mutual}"
    plain = " ".join(f'user_{user}="{PASSWORD}"' for user in users)
    return {
        "listeners": f"PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller_port}},{secured}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{{port}},{secured}",
        "listener.security.protocol.map": ("CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SIGNED:SASL_SSL,MUTUAL:SSL"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(directory / "ca.pem"),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.signed.plain.sasl.jaas.config": LOGIN.format("plain.Plain", f" {plain}"),
        "listener.name.signed.scram-sha-256.sasl.jaas.config": LOGIN.format("scram.Scram", ""),
        "listener.name.signed.scram-sha-512.sasl.jaas.config": LOGIN.format("scram.Scram", ""),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:.*CN=([^,]*).*/$1/",
        "super.users": "User:ANONYMOUS;User:worker",
    }


async def allow(address: str, user: str, rules: Iterable[tuple[str, str, str, Iterable[str]]]) -> None:
    """Rules: (resource type, literal or prefixed, name, operations)."""
    kafka = Kafka(address)
    await kafka.start()
    try:
        for kind, pattern, name, operations in rules:
            for operation in operations:
                wanted = CreateAclsRequest(
                    RESOURCES[kind], name, PATTERNS[pattern], f"User:{user}", "*", OPERATIONS[operation], ALLOW
                )
                response = await kafka.admin._send_request(wanted)
                assert all(result[0] == 0 for result in response.creation_responses), response
    finally:
        await kafka.stop()
