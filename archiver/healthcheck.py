"""Ask the daemon on this machine whether the archive is healthy: `python -m archiver.healthcheck [URL]`.

For a container's health check, which runs every half minute: it imports nothing of the archiver, so it takes a
twentieth of a second. Ends with 0 or 1, and says what the daemon said. `archiver status --max-age` asks the
catalogue instead.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

HEALTH = "http://127.0.0.1:9464/healthz"
PATIENCE = 8  # seconds; the container's own limit is longer
MOST = 4096  # bytes of an answer that are shown: a container engine keeps no more


def ask(url: str) -> tuple[bool, str]:
    """Return whether the daemon calls itself healthy, and its own words."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "127.0.0.1", address.port or 80, timeout=PATIENCE)
    try:
        connection.request("GET", address.path or "/")
        answer = connection.getresponse()
        told = answer.read(MOST).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"nothing answers at {url} ({type(error).__name__}): is the daemon up, and is http.listen this?"
    else:
        return answer.status == 200, told or f"HTTP {answer.status}"  # noqa: PLR2004 - OK
    finally:
        connection.close()


if __name__ == "__main__":
    healthy, words = ask(*sys.argv[1:2] or [HEALTH])
    sys.stdout.write(f"{words}\n")
    sys.exit(0 if healthy else 1)
