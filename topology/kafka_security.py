"""How Kafka clients prove who they are and whom they talk to: the settings `CLEPSYDRA_SECURITY_PROTOCOL`, TLS, SASL."""

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Upper = BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value)
FILE = "a PEM file that can be read"


class KafkaSecurity(BaseModel):
    """The part of the settings that secures connections to Kafka. The names are those of Kafka's own clients.

    Each field is checked against those before it, so that all faults are told at once.
    """

    security_protocol: Annotated[Protocol, Upper] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    sasl_mechanism: Annotated[Mechanism, Upper] | None = Field(
        None, validate_default=True, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, with a SASL protocol"
    )
    sasl_username: str | None = Field(None, validate_default=True, description="a name, with a SASL protocol")
    sasl_password: SecretStr | None = Field(None, validate_default=True, description="a password, with a SASL protocol")
    tls_ca: Path | None = Field(
        None, description=f"{FILE}: who signed the brokers' certificates; else those that the system trusts"
    )
    tls_cert: Path | None = Field(None, description=f"{FILE}: the certificate that this client shows")
    tls_key: Path | None = Field(None, validate_default=True, description=f"{FILE}: the key of CLEPSYDRA_TLS_CERT")
    tls_key_password: SecretStr | None = Field(
        None, validate_default=True, description="the password of CLEPSYDRA_TLS_KEY, where it has one"
    )

    @field_validator("sasl_mechanism", "sasl_username", "sasl_password")
    @classmethod
    def _belongs_to_sasl(cls, value: Any, info: ValidationInfo) -> Any:
        protocol = info.data.get("security_protocol")
        if protocol is not None and protocol.startswith("SASL") and value is None:
            raise ValueError(f"is missing, and CLEPSYDRA_SECURITY_PROTOCOL={protocol} needs it")
        if protocol is not None and not protocol.startswith("SASL") and value is not None:
            raise ValueError(f"is set, and CLEPSYDRA_SECURITY_PROTOCOL={protocol} does not use it: set SASL_SSL")
        return value

    @field_validator("tls_ca", "tls_cert", "tls_key")
    @classmethod
    def _is_a_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        protocol = info.data.get("security_protocol")
        if value is not None and protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
            raise ValueError(
                f"is set, and CLEPSYDRA_SECURITY_PROTOCOL={protocol} does not use TLS: set SSL or SASL_SSL"
            )
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value

    @field_validator("tls_key")
    @classmethod
    def _comes_with_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "tls_cert" in info.data and (value is None) != (info.data["tls_cert"] is None):
            raise ValueError("comes with CLEPSYDRA_TLS_CERT or not at all")
        return value

    @field_validator("tls_ca")
    @classmethod
    def _holds_certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            trusting(value)
        return value

    @field_validator("tls_key_password")
    @classmethod
    def _opens_the_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """The last of them: certificate, key and password are read together."""
        if info.data.get("tls_key") is not None and info.data.get("tls_cert") is not None:
            show(ssl.create_default_context(), info.data["tls_cert"], info.data["tls_key"], value)
        return value

    def kafka_security(self) -> dict[str, Any]:
        """The arguments of every aiokafka client that are about security; none for PLAINTEXT."""
        if self.security_protocol == "PLAINTEXT":
            return {}
        found: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            found["ssl_context"] = trusting(self.tls_ca)
            if self.tls_cert is not None and self.tls_key is not None:
                show(found["ssl_context"], self.tls_cert, self.tls_key, self.tls_key_password)
        if self.security_protocol.startswith("SASL"):
            assert self.sasl_password is not None
            found |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password.get_secret_value(),
            }
        return found


def trusting(ca: Path | None) -> ssl.SSLContext:
    """What checks the brokers' certificates and names. Raises ValueError naming the file."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"{ca} holds no certificates: {error}") from None


def show(context: ssl.SSLContext, cert: Path, key: Path, password: SecretStr | None) -> None:
    """Have it show a certificate. Raises ValueError naming the files."""
    try:
        context.load_cert_chain(cert, key, "" if password is None else password.get_secret_value())
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"does not open {key} for {cert}: {error}") from None
