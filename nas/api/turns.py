"""An executor whose trials somebody else trains, in a thread that asks for them and tells their results."""

from __future__ import annotations

import queue
import threading
from typing import Final, Literal

from nas.closing import Closing
from nas.trials import TrialResult, TrialSpec

ASK: Final = "ask"


class Closed(Exception):
    """Nobody will ask or tell any more."""


class Turns(Closing):
    """An ``Executor`` that has as many slots as trials are under way and questions open.

    The strategy's thread submits and waits. Another thread takes turns with it: it asks or tells, and continues when
    that is answered, which for a result is when it is recorded.
    """

    def __init__(self) -> None:
        self._events = queue.SimpleQueue[Literal["ask", "stop"] | TrialResult]()
        self._answers = queue.SimpleQueue[TrialSpec | BaseException | None]()
        self._one_at_a_time = threading.Lock()
        self._has_to_answer = True  # first: that the strategy is where it wants to be asked
        self._is_asked = False
        self._ended = False
        self._error: BaseException | None = None
        self.num_running = 0

    # for the thread that asks and tells

    def wait_for_the_first(self) -> None:
        """Block until the strategy can be asked; what kept it from that is raised."""
        self._answer_of(self._answers.get())

    def take(self, event: Literal["ask"] | TrialResult) -> TrialSpec | None:
        """Ask for a trial, None if there is no more; or tell a result. An error that ended the strategy is raised."""
        with self._one_at_a_time:
            if self._ended:
                return self._answer_of(self._error)
            self._events.put(event)
            return self._answer_of(self._answers.get())

    def stop(self) -> None:
        """Let the strategy's thread end where it waits."""
        self._events.put("stop")

    def _answer_of(self, answer: TrialSpec | BaseException | None) -> TrialSpec | None:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    # for the strategy's thread

    @property
    def num_slots(self) -> int:
        """One more than are taken while a question is open."""
        return self.num_running + self._is_asked

    def submit(self, spec: TrialSpec) -> None:
        """Answer a question with a trial."""
        self.num_running += 1
        self._is_asked = False
        self._answer(spec)

    def wait(self, timeout: float | None = None) -> list[TrialResult]:
        """The next result; empty when a trial is asked for. A question that is still open then has no answer."""
        self._is_asked = False
        self._answer(None)
        event = self._events.get()
        if event == "stop":
            raise Closed
        self._has_to_answer = True
        if event == ASK:
            self._is_asked = True
            return []
        assert isinstance(event, TrialResult)
        self.num_running -= 1
        return [event]

    def end(self, error: BaseException | None) -> None:
        """The strategy is done; ``error`` is for whoever waits."""
        self._ended, self._error = True, error
        self._answer(error)

    def _answer(self, answer: TrialSpec | BaseException | None) -> None:
        if self._has_to_answer:
            self._has_to_answer = False
            self._answers.put(answer)

    def close(self) -> None:
        """Nothing runs here that would have to be ended."""
