"""Write the software bill of materials: `python -m tools.sbom dist/sbom.cdx.json`.

CycloneDX, of what requirements.txt locks, each with version and hashes: the same bytes for the same lock. The tool
reads no version that stands in the code, so the program's own is put in here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from archiver import __version__

COMMAND = ("-W", "ignore::UserWarning", "-m", "cyclonedx_py", "requirements", "requirements.txt")
FORM = ("--pyproject", "pyproject.toml", "--output-reproducible", "--output-format", "JSON", "--validate")


def write(path: Path) -> None:
    """Write it. Raises CalledProcessError when it is not valid CycloneDX."""
    made = subprocess.run([sys.executable, *COMMAND, *FORM], stdout=subprocess.PIPE, check=True).stdout
    document = json.loads(made)
    document["metadata"]["component"]["version"] = __version__
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
