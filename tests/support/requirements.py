"""The lock files, as text."""

from __future__ import annotations

import re
from typing import Final

#: One locked package: name, version, and the lines of its hashes.
PIN: Final = re.compile(
    r"^([a-z0-9-]+)==(\S+)(?: ; [^\\\n]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
