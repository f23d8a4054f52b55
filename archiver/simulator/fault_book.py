"""Says which scripted fault a request meets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from archiver.simulator.faults import Action, Fault, Operation


@dataclass(frozen=True, slots=True)
class Due:
    """A fault that strikes now, for the `count`th time (from 1)."""

    do: Action
    count: int


class _Running:
    """How often a fault was met."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.passed = 0
        self.struck = 0

    def meet(self) -> Due | None:
        if self.fault.times is not None and self.struck >= self.fault.times:
            return None
        if self.passed < self.fault.after:
            self.passed += 1
            return None
        self.struck += 1
        return Due(self.fault.do, self.struck)


class FaultBook:
    """All scripted faults. Asking costs the same however many there are for other recordings."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        """Begin with these, none of them met yet."""
        self._running: defaultdict[tuple[Operation, int | None], list[_Running]] = defaultdict(list)
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Script one more, behind those of the same operation and recording."""
        self._running[fault.on, fault.recording].append(_Running(fault))

    def clear(self) -> None:
        """Let everything go well from now on."""
        self._running.clear()

    def due(self, operation: Operation, recording: int | None) -> Due | None:
        """Return what strikes this request; counts it as met."""
        keys = ((operation, recording), (operation, None)) if recording is not None else ((operation, None),)
        for key in keys:
            for running in self._running.get(key, ()):
                due = running.meet()
                if due is not None:
                    return due
        return None
