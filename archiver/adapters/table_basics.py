"""What all tables share: their metadata with the names of constraints, and the types of their columns."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Dialect, Enum, MetaData, TypeDecorator

from archiver.core.model import State, require_aware

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

state_type = Enum(State, name="recording_state", values_callable=lambda states: [state.value for state in states])


class Moment(TypeDecorator[datetime]):
    """A point in time; comes back in UTC, whatever time zone the server is set to."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - theirs
        """Refuse a naive one with a ValueError: the server would read it in its own time zone."""
        return None if value is None else require_aware(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - theirs
        """Give the same moment in UTC."""
        return None if value is None else require_aware(value)


moment = Moment()
