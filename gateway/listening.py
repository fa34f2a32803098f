"""Sockets that servers listen on, taken before anything else is started."""

import socket

from gateway.errors import UserError


class PortTakenError(UserError):
    """A server cannot listen where it was told to."""


def listening(host: str, port: int) -> socket.socket:
    """A listening socket; port 0: any free one. Raises PortTakenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as fault:
        raise PortTakenError(
            f"cannot listen on {host}:{port}: {fault.strerror}; "
            "stop what listens there, or choose another with --port (0: any free one)"
        ) from None
