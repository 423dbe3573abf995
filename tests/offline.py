"""No test asks the network: every machine but this one is denied to the process that imports this.

Contents
    Offline    refuses, and remembers what was asked
    OFFLINE    the one that is at work
"""

from __future__ import annotations

import sys
from typing import Any


class Offline:
    """Refuses connections to other machines, and questions for their addresses.

    An audit hook, which Python calls before each, whoever asks; those of Dask and Jupyter, between
    processes of this machine, pass.
    """

    HERE = (None, "", b"", "localhost", b"localhost", "127.0.0.1", "::1", "0.0.0.0")

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        sys.addaudithook(self.heard)

    def heard(self, event: str, given: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            host = given[1][0] if isinstance(given[1], tuple) else None  # else of a local socket
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            host = given[0]
        else:
            return
        if host not in self.HERE:
            self.asked.append((event, host))
            raise PermissionError(f"a test asked the network: {event} of {host!r}")


OFFLINE = Offline()
