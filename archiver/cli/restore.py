"""Writing a recording from the archive to a file, whole and proved, or not at all."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from archiver.core.integrity import compare
from archiver.core.model import Entry, Fixity
from archiver.errors import ConfigError, IntegrityError
from archiver.stages.ports import ObjectStore


async def restore(store: ObjectStore, entry: Entry, path: Path, *, force: bool) -> Fixity:
    """Write the copy to `path` by way of a file beside it, so that no half or wrong file ever has the name.

    Raises ConfigError when the file cannot be written, IntegrityError when the bytes are not those on record, and
    NotFound when the bucket has no such object.
    """
    if entry.expired_at is not None:
        msg = f"recording {entry.id} was deleted in the archive on {entry.expired_at:%Y-%m-%d %H:%M:%S} UTC"
        raise ConfigError(msg, hint="archiver explain ID says why")
    key, recorded = entry.require_copy()
    if path.exists() and not force:  # noqa: ASYNC240 - one command, one file: nothing else waits
        msg = f"{path} exists"
        raise ConfigError(msg, hint="choose another name, or --force")
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            found = await _write(store, key, partial)
            verdict = compare(recorded, found)
            if not verdict.good:
                msg = f"nothing was written: {verdict.problem}"
                raise IntegrityError(msg, hint="run: archiver verify " + entry.id)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise ConfigError(msg, hint="is the disk full, or the folder missing?") from None
    return found


async def _write(store: ObjectStore, key: str, path: Path) -> Fixity:
    digest, count = hashlib.sha256(), 0
    with path.open("xb") as file:
        async for chunk in store.stream(key):
            file.write(chunk)
            digest.update(chunk)
            count += len(chunk)
    return Fixity(sha256=digest.hexdigest(), size=count)
