"""A training carried through interruptions, with a fake one whose every step is seen."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from welltuned import stopping
from welltuned.checkpoints import Identity, Saving, State, Store, carry_through
from welltuned.checkpoints import carrying as carrying_module
from welltuned.checkpoints.carrying import BYTES_A_SECOND
from welltuned.errors import DivergedError, ResourceError
from welltuned.record import Incident

IDENTITY = Identity("spec", "data", "weights", {})


class Fake:
    """Ten steps, an epoch every five; each adds the rate to its weight."""

    steps = 10
    size = 0

    def __init__(self, before: Callable[[Fake], Any] = lambda _: None) -> None:
        self.step, self.weight, self.rate, self.scale = 0, torch.zeros(1), 1.0, 1.0
        self.incidents: list[Incident] = []
        self.before, self.saved, self.taken = before, list[int](), list[int]()

    @property
    def ended(self) -> bool:
        return self.step == self.steps

    @property
    def is_at_rest(self) -> bool:
        return self.step % 5 == 0

    def run(self, until: int | None = None, after: Callable[[], None] = lambda: None) -> None:
        while self.step < (until or self.steps):
            self.before(self)
            self.step += 1
            self.weight = self.weight + self.rate
            self.taken.append(self.step)
            after()

    def snapshot(self, *, copied: bool = True) -> State:
        self.saved.append(self.step)
        return State({"weight": self.weight.clone()}, {"step": self.step, "rate": self.rate})

    def restore(self, state: State) -> None:
        self.weight, self.step, self.rate = state.tensors["weight"], state.numbers["step"], state.numbers["rate"]

    def slow_down(self, scale: float, why: str) -> None:
        self.scale = self.rate = scale
        self.incidents.append(Incident(kind="divergence", step=self.step, what=why, rate=self.rate))


def carried(training: Fake, folder: Path, saving: Saving, said: list[str] | None = None) -> Store:
    say = (said if said is not None else []).append
    store = Store(folder, IDENTITY, saving.limit, say)
    carry_through(training, store, saving, say)
    return store


def test_it_says_whether_it_went_on_from_a_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY, 2, lambda _: None)
    assert not carry_through(Fake(), store, Saving(steps=4), lambda _: None)
    assert carry_through(Fake(), store, Saving(steps=4), lambda _: None)


def test_steps_and_epoch_ends_are_saved(tmp_path: Path) -> None:
    one = Fake()
    carried(one, tmp_path, Saving(steps=3))
    assert one.saved == [3, 5, 6, 9, 10]


@pytest.mark.parametrize(
    ("cost", "minutes", "saved"),
    [
        (0.0, 5.0, [5, 10]),  # epoch ends only
        (0.0, 0.06, [4, 5, 9, 10]),  # 3.6 s: the fourth second after the save before
        (0.08, 5.0, [10]),  # eight seconds must have gone by
        (1.0, 0.01, []),
    ],
)
def test_time_decides_else(
    cost: float, minutes: float, saved: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes a second, and saving ``cost`` of one."""
    now = [0.0]
    monkeypatch.setattr(carrying_module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(carrying_module, "GUESS", cost)
    one = Fake(lambda _: now.__setitem__(0, now[0] + 1.0))
    carried(one, tmp_path, Saving(minutes=minutes))
    assert one.saved == saved


@pytest.mark.parametrize(("size", "saved"), [(0, [5, 10]), (int(25 * BYTES_A_SECOND / 1000), [10]), (10**12, [])])
def test_until_one_is_made_a_large_state_is_taken_to_last_longer(
    size: int, saved: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(carrying_module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(carrying_module, "GUESS", 0.0)
    one = Fake(lambda _: now.__setitem__(0, now[0] + 0.4))
    one.size = size
    carried(one, tmp_path, Saving())
    assert one.saved == saved


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_is_obeyed_after_the_step_and_saved(number: int, tmp_path: Path) -> None:
    one, said = Fake(lambda it: it.step == 6 and stopping.ask(number)), list[str]()
    with pytest.raises(stopping.StoppedError) as stopped:
        carried(one, tmp_path, Saving(), said)
    assert stopped.value.number == number
    assert one.saved == [7]
    assert said == ["saved at step 7"]
    again = Fake()
    carried(again, tmp_path, Saving(), said)
    assert again.taken == [8, 9, 10]
    assert again.weight == 10
    assert said[-1] == "goes on from the checkpoint at step 7 of 10"


def test_a_second_wish_stops_at_once_and_saves_nothing(tmp_path: Path) -> None:
    def twice(it: Fake) -> None:
        if it.step == 6:
            stopping.ask(2)
            stopping.ask(2)

    one = Fake(twice)
    with pytest.raises(stopping.StoppedError):
        carried(one, tmp_path, Saving())
    assert (one.step, one.saved) == (6, [])


def test_where_nothing_is_saved_a_wish_is_obeyed_at_once() -> None:
    stopping.obey()
    with pytest.raises(stopping.StoppedError):
        stopping.ask(15)
    stopping.obey()


def test_a_failure_does_not_swallow_a_wish(tmp_path: Path) -> None:
    def fails(it: Fake) -> None:
        stopping.ask(2)
        raise DivergedError("nan")

    with pytest.raises(stopping.StoppedError):
        carried(Fake(fails), tmp_path, Saving())


def test_memory_that_does_not_suffice_is_told_once_it_is_saved(tmp_path: Path) -> None:
    def fails(it: Fake) -> None:
        if it.step == 7:
            raise ResourceError("not even one row")

    one = Fake(fails)
    with pytest.raises(ResourceError, match="not even one row"):
        carried(one, tmp_path, Saving())
    again = Fake()
    carried(again, tmp_path, Saving())
    assert again.taken == [8, 9, 10]


def diverging(at: int, below: float) -> Callable[[Fake], None]:
    def before(it: Fake) -> None:
        if it.step == at and it.rate > below:
            raise DivergedError(f"not finite at step {at + 1}", mend="try less")

    return before


def test_divergence_ends_with_the_last_checkpoint_kept(tmp_path: Path) -> None:
    one = Fake(diverging(7, 0.0))
    with pytest.raises(DivergedError, match="not finite at step 8") as error:
        store = carried(one, tmp_path, Saving(steps=3))
    assert "--on-divergence rollback" in (error.value.mend or "")
    store = Store(tmp_path, IDENTITY, 2, print)
    assert store.newest().numbers["step"] == 6  # type: ignore[union-attr]


def test_rollback_goes_on_at_half_the_rate(tmp_path: Path) -> None:
    one, said = Fake(diverging(7, 0.3)), list[str]()
    carried(one, tmp_path, Saving(steps=3, rollback=True), said)
    assert one.taken == [1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 9, 10]
    assert [incident.rate for incident in one.incidents] == [0.5, 0.25]
    assert "step 8: not finite at step 8; back to step 6" in one.incidents[0].what
    assert one.weight == 6 + 4 * 0.25
    assert sum("diverged at step 8" in text for text in said) == 2


def test_rollback_from_the_very_first_step(tmp_path: Path) -> None:
    one = Fake(diverging(0, 0.6))
    carried(one, tmp_path, Saving(rollback=True))
    assert one.weight == 5.0


def test_rollback_gives_up(tmp_path: Path) -> None:
    one = Fake(diverging(7, 0.0))
    with pytest.raises(DivergedError, match="after 3 times back at half the rate"):
        carried(one, tmp_path, Saving(steps=3, rollback=True))
    assert math.isclose(one.rate, 1 / 8)


def test_what_diverged_can_be_gone_on_from_with_rollback(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        carried(Fake(diverging(7, 0.6)), tmp_path, Saving(steps=3))
    one = Fake(diverging(7, 0.6))
    carried(one, tmp_path, Saving(steps=3, rollback=True))
    assert one.taken[0] == 7
    assert one.ended
