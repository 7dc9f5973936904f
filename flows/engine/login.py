"""The login of Prefect's server, which has its own environment variable.

In the address, where some servers expect it, it would be shown and sent wherever the address is.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit, urlunsplit

URL = "PREFECT_API_URL"
LOGIN = "PREFECT_API_AUTH_STRING"


def take_login_out_of_address() -> None:
    """Move ``user:password@`` from ``PREFECT_API_URL`` to ``PREFECT_API_AUTH_STRING``, unless that is set."""
    parts = urlsplit(os.environ.get(URL, ""))
    login, at, host = parts.netloc.rpartition("@")
    if at:
        os.environ.setdefault(LOGIN, unquote(login))
        os.environ[URL] = urlunsplit(parts._replace(netloc=host))
