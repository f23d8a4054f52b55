"""The strict store of the tests in a process of its own: S3 that checks SHA-256, in memory, and the cheapest here."""

from __future__ import annotations

import sys
import time

from tests.support.strict_store import StrictStore


def main() -> None:
    """Serve for ever: `python -m bench.strict PORT KEY_ID`."""
    store = StrictStore(access_key_id=sys.argv[2], port=int(sys.argv[1]))
    store.start()
    while True:
        time.sleep(1)
        store.requests.clear()  # nobody looks at what was asked


if __name__ == "__main__":
    main()
