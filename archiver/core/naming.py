"""Object keys: made from account, start and id alone, so that a repeated upload meets its own first attempt."""

from __future__ import annotations

from archiver.core.model import Recording

AUDIO_TYPE = "audio/mpeg"
SIDECAR_TYPE = "application/json"


def audio_key(prefix: str, recording: Recording) -> str:
    """Key of the audio: `<prefix><account>/YYYY/MM/DD/HHMMSSZ-<id>.mp3`, the call's start in UTC.

    `file_name` is left out on purpose: it repeats between recordings and is untrusted text.
    """
    return f"{prefix}{recording.account}/{recording.start:%Y/%m/%d/%H%M%S}Z-{recording.id}.mp3"


def sidecar_key(key: str) -> str:
    """Key of the metadata sidecar that stands beside an audio object."""
    return key.removesuffix(".mp3") + ".json"
