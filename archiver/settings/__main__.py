"""`python -m archiver.settings FILE` writes the JSON Schema of the configuration into FILE."""

import sys
from pathlib import Path

from archiver.settings import Settings, write_schema

write_schema(Path(sys.argv[1] if len(sys.argv) > 1 else "config/archiver.schema.json"), Settings)
