"""Contract tests of executors: every trial comes back once, and a trial that fails is a result.

An executor under test is made by a function that gets a trial function and a listener. Trial functions lie at the top
of this module, so that a worker process can import one as ``f"{run.__module__}:{run.__name__}"``.
"""

from __future__ import annotations

from typing import Protocol

from nas.config import DataConfig, Recipe
from nas.executors import EpochListener, EpochReport, Executor, RunTrial
from nas.trials import TrialResult, TrialSpec

LIMIT = 30.0  # seconds that nothing here comes near, so that an error fails a test instead of hanging it
FAILING = 1  # the seed of a trial that raises


class MakeExecutor(Protocol):
    """Makes an executor of one slot or more that runs ``run`` and tells ``on_epoch`` of every epoch."""

    def __call__(self, run: RunTrial, *, on_epoch: EpochListener | None = None) -> Executor: ...


def check_executor(make: MakeExecutor) -> None:
    """Check every promise of this module.

    Args:
        make: Called as ``make(run, on_epoch=...)``; makes an executor of one slot or more that runs ``run``.

    Raises:
        AssertionError: With the promise that was broken.
    """
    check_results_come_once(make)
    check_failure_is_a_result(make)
    check_epochs(make)
    check_close(make)


def finish_or_fail(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """A trial that finishes immediately; with the seed FAILING it raises."""
    if spec.seed == FAILING:
        raise ValueError("the loss is made of cheese")
    return TrialResult(id=spec.id, status="finished", metrics={"rank": {}})


def two_epochs(spec: TrialSpec, device: str, report: EpochReport) -> TrialResult:
    """A trial that reports two epochs."""
    report({"epoch": 1.0, "train_loss": 2.0})
    report({"epoch": 2.0, "train_loss": 1.0})
    return TrialResult(id=spec.id, status="finished", metrics={"rank": {}})


def small_trial(name: str, *, seed: int = 0) -> TrialSpec:
    """A trial for the functions above."""
    return TrialSpec(
        id=name, space="vgg", sample={"width": 8}, input_shape=(1, 8, 8), num_classes=10, data=DataConfig(),
        recipe=Recipe(name="ce", loss="ce"), seed=seed,
    )  # fmt: skip


def check_results_come_once(make: MakeExecutor) -> None:
    """As many trials as there are slots run in parallel; each comes back from ``wait`` once. One trial more than there
    are slots is refused with an AssertionError, and with nothing running ``wait`` is empty immediately."""
    with make(finish_or_fail) as executor:
        assert executor.num_running == 0, "trials run before any was submitted"
        assert executor.wait() == [], "there are results before any trial was submitted"
        names = [f"t{number}" for number in range(executor.num_slots)]
        for number, name in enumerate(names, start=1):
            executor.submit(small_trial(name))
            assert executor.num_running == number, f"{executor.num_running} trials run, and {number} were submitted"
        try:
            executor.submit(small_trial("one more"))
        except AssertionError:
            refused = True
        else:
            refused = False
        assert refused, "a trial was taken while every slot was"
        results = [result for _ in names if executor.num_running for result in executor.wait(LIMIT)]
        found = sorted(result.id for result in results)
        assert found == sorted(names), f"the trials {sorted(names)} were submitted, and {found} came back"
        assert executor.num_running == 0 and executor.wait() == [], "after the last result something still runs"


def check_failure_is_a_result(make: MakeExecutor) -> None:
    """Check that what a trial raises fails that trial, with the error's kind and text; the next one on its slot
    finishes."""
    with make(finish_or_fail) as executor:
        failed = _one(executor, small_trial("t1", seed=FAILING))
        assert failed.status == "failed", f"a trial that raised is {failed.status}"
        expected = "ValueError: the loss is made of cheese"
        assert failed.error == expected, f"a trial that raised {expected!r} failed with {failed.error!r}"
        status = _one(executor, small_trial("t2")).status
        assert status == "finished", f"the trial after one that raised is {status}"


def check_epochs(make: MakeExecutor) -> None:
    """Every epoch that a trial reports is told to the listener with the trial's id, in order, before its result."""
    heard: list[tuple[str, float]] = []
    with make(two_epochs, on_epoch=lambda trial, row: heard.append((trial, row["epoch"]))) as executor:
        _one(executor, small_trial("a"))
        _one(executor, small_trial("b"))
        expected = [("a", 1.0), ("a", 2.0), ("b", 1.0), ("b", 2.0)]
        assert heard == expected, f"the epochs {expected} were reported, and {heard} were heard"


def check_close(make: MakeExecutor) -> None:
    """An executor may be closed twice, with a trial on its slot or without."""
    for submitted in (False, True):
        executor = make(finish_or_fail)
        if submitted:
            executor.submit(small_trial("t1"))
        executor.close()
        executor.close()


def _one(executor: Executor, spec: TrialSpec) -> TrialResult:
    executor.submit(spec)
    results = executor.wait(LIMIT)
    assert [result.id for result in results] == [spec.id], f"{spec.id} was submitted, and {results} came back"
    return results[0]
