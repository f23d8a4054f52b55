"""What can be scripted to be wrong inside a ZIP, as frozen values. Recordings are named by their ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The recording is not in the archive."""

    recording: int


@dataclass(frozen=True, slots=True)
class Twice:
    """The recording is in the archive a second time, under the same name, right behind the first."""

    recording: int


@dataclass(frozen=True, slots=True)
class BadBit:
    """One bit of the recording is wrong; sizes and CRC are those of the true bytes."""

    recording: int


@dataclass(frozen=True, slots=True)
class Altered:
    """One bit of the recording is wrong and CRC and sizes agree with it; `longer` bytes more (negative: fewer)."""

    recording: int
    longer: int = 0


@dataclass(frozen=True, slots=True)
class Encrypted:
    """The headers claim that the recording is encrypted."""

    recording: int


@dataclass(frozen=True, slots=True)
class Named:
    """The recording's member is called otherwise: like another one, or as no file should be."""

    recording: int
    name: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """A member that no listing has, behind the others or `first`."""

    name: str
    data: bytes
    first: bool = False


@dataclass(frozen=True, slots=True)
class Bomb:
    """A deflated member of so many MiB of zeros, behind the others or `first`."""

    name: str
    mebibytes: int
    first: bool = False


@dataclass(frozen=True, slots=True)
class WrongSizes:
    """Both sizes beside the recording's data, before or behind it, are wrong by so many bytes."""

    recording: int
    by: int = 1


@dataclass(frozen=True, slots=True)
class LyingDirectory:
    """The central directory puts `prefix` before every name, and its sizes are wrong by so many bytes."""

    prefix: str = "not-"
    by: int = 1


@dataclass(frozen=True, slots=True)
class NoDirectory:
    """The archive ends behind its last member."""


Trick = (
    LeftOut | Twice | BadBit | Altered | Encrypted | Named | Stranger | Bomb | WrongSizes | LyingDirectory | NoDirectory
)


@dataclass(frozen=True, slots=True)
class Spoil:
    """The ZIP of an export is wrong in these ways, one after the other.

    A recording that is not in the job leaves its trick without effect, as does an answer that is no ZIP.
    """

    tricks: tuple[Trick, ...]
