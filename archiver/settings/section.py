"""What every section of the configuration has: frozen, unknown keys refused, values never in an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


def at(step: str, message: str) -> PydanticCustomError:
    """Refuse a value, but name another place: `..` for the section around it, else a key inside it."""
    return PydanticCustomError("placed", "{message}", {"message": message, "step": step})


class Section(BaseModel):
    """Base of every section of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
