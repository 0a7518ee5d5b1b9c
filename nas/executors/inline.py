"""Trials in the caller's own process, one at a time: for tests and debuggers."""

from __future__ import annotations

from nas.closing import Closing
from nas.executors.base import EpochListener, RunTrial, run_guarded
from nas.trials import TrialResult, TrialSpec


class InlineExecutor(Closing):
    """One slot; the trial runs inside ``wait``, which therefore cannot time out or survive a crash."""

    num_slots = 1

    def __init__(self, run: RunTrial, *, device: str = "cpu", on_epoch: EpochListener | None = None) -> None:
        self._run = run
        self._device = device
        self._on_epoch = on_epoch
        self._spec: TrialSpec | None = None

    @property
    def num_running(self) -> int:
        return int(self._spec is not None)

    def submit(self, spec: TrialSpec) -> None:
        assert self._spec is None, "submit called while the slot is taken"
        self._spec = spec

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        """Run the submitted trial to its end, whatever ``timeout`` is. KeyboardInterrupt passes through."""
        if self._spec is None:
            return []
        spec, self._spec = self._spec, None

        def report(row: dict[str, float]) -> None:
            if self._on_epoch is not None:
                self._on_epoch(spec.id, row)

        return [run_guarded(self._run, spec, self._device, report)]

    def close(self) -> None:
        self._spec = None
