"""Trained tensors that nothing reaches, or that stay where they were."""

from __future__ import annotations

from collections.abc import Sequence

from welltuned.alarms._evidence import Trace, Training
from welltuned.record import Alarm


def no_gradient(run: Training) -> list[Alarm]:
    """A tensor that is counted as trained never had a gradient other than zero."""
    found = [trace for trace in run.traces if not trace.gradient]
    if not found:
        return []
    return [
        Alarm(
            kind="no-gradient",
            what=f"{_named(found, run.traces)} never got a gradient",
            cause="it does not take part in the answer: a detached branch, or an adapter that is not called",
            mend="check the method's attach(), and that the encoder's forward passes through these tensors",
        )
    ]


def unchanged(run: Training) -> list[Alarm]:
    """A tensor got gradients and is still exactly what it was before the first step."""
    found = [trace for trace in run.traces if trace.gradient and not trace.moved]
    if not found:
        return []
    return [
        Alarm(
            kind="unchanged",
            what=f"{_named(found, run.traces)} did not change though gradients reached it",
            cause="the learning rate is zero or far too low, or the optimizer does not hold these tensors",
            mend="check the learning rate and schedule, and that the optimizer was made after attach()",
        )
    ]


def _named(found: Sequence[Trace], of: Sequence[Trace]) -> str:
    shown = ", ".join(trace.name for trace in found[:3]) + (", ..." if len(found) > 3 else "")
    return f"{len(found)} of {len(of)} trained tensors ({shown})" if len(of) > 1 else shown
