"""Run one command and write down what it cost: `timed.py RESULT COMMAND…`. Standard library only, to stay small.

A process inherits the peak memory of the one that forked it, so what is measured is never started from a larger one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Pass SIGTERM on, wait, write the result, and leave with the command's exit code."""
    result, *command = sys.argv[1:]
    began = time.monotonic()
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda number, _frame: child.send_signal(number))
    _, status, used = os.wait4(child.pid, 0)
    wall, code = time.monotonic() - began, os.waitstatus_to_exitcode(status)
    cost = {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "rss": used.ru_maxrss * 1024, "exit_code": code}
    Path(result).write_text(json.dumps(cost))
    sys.exit(abs(code))


if __name__ == "__main__":
    main()
