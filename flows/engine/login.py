"""Who may use Prefect's server: its login, which has an environment variable of its own, and whether it needs one.

In the address, where some servers expect a login, it would be shown and sent wherever the address is.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit, urlunsplit

from gatecast.data.errors import InputError

URL = "PREFECT_API_URL"
LOGIN = "PREFECT_API_AUTH_STRING"


def take_login_out_of_address() -> None:
    """Move ``user:password@`` from ``PREFECT_API_URL`` to ``PREFECT_API_AUTH_STRING``, unless that is set."""
    parts = urlsplit(os.environ.get(URL, ""))
    login, at, host = parts.netloc.rpartition("@")
    if at:
        os.environ.setdefault(LOGIN, unquote(login))
        os.environ[URL] = urlunsplit(parts._replace(netloc=host))


def is_loopback(host: str) -> bool:
    """Tell whether an address or a name can be reached from this machine only.

    Raises
    ------
    InputError
        There is no such address.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(f"{host!r} is no address to listen on ({error}); 127.0.0.1 is one.") from error
    return all(ip_address(str(entry[4][0])).is_loopback for entry in found)


def has_password() -> bool:
    """Tell whether the server asks for a password, by Prefect's settings."""
    from prefect.settings import PREFECT_SERVER_API_AUTH_STRING

    return bool(PREFECT_SERVER_API_AUTH_STRING.value())


def check_password(host: str, *, insecure: bool) -> None:
    """Refuse to listen without a password where other machines can connect, or with a password only the server knows.

    Raises
    ------
    InputError
        One of these is the case, or there is no such address; the message says what to set.
    """
    if not (is_loopback(host) or has_password() or insecure):
        raise InputError(
            f"--host {host} lets other machines run commands on this one; set PREFECT_SERVER_API_AUTH_STRING and"
            " PREFECT_API_AUTH_STRING to user:password, or type --insecure."
        )
    check_login()


def check_login() -> None:
    """Refuse a password that only the server knows, since it would answer neither commands nor runs.

    Raises
    ------
    InputError
        This is the case; the message says what to set.
    """
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_SERVER_API_AUTH_STRING

    if has_password() and PREFECT_API_AUTH_STRING.value() != PREFECT_SERVER_API_AUTH_STRING.value():
        raise InputError(
            "PREFECT_API_AUTH_STRING, with which commands and runs log in, is not PREFECT_SERVER_API_AUTH_STRING, which"
            " the server asks for; set both to user:password."
        )
