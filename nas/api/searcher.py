"""Ask and tell: a strategy for a training loop of one's own."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from budgets import LIMITS, Cost
from budgets.sampling import resolve_budget
from nas.api.keywords import meant
from nas.api.spaces import Size, Space, budget_of
from nas.api.trials import Trial
from nas.api.turns import ASK, Closed, Turns
from nas.api.wording import in_python
from nas.arguments import checked_types, misfits, raise_misfits
from nas.closing import Closing
from nas.config import DataConfig, Recipe, SearchConfig, checked, raise_all
from nas.config.data import FOREIGN
from nas.config.objectives import DEFAULT
from nas.config.recipe import Metrics
from nas.config.run_rules import guide_errors, strategy_and_guide
from nas.engine.session import session
from nas.engine.trial_loop import TrialLoop
from nas.errors import RunError, SearchStopped, UsageError
from nas.plugins.installed import load_installed
from nas.plugins.loading import with_loaded
from nas.runs import EventLog, Journal, as_search
from nas.runs.events import SearchFacts, SessionStopped, SettingsChanged
from nas.runs.fold import fold
from nas.runs.folders import is_unborn, read_run, start_search
from nas.runs.hints import loaded, typed
from nas.runs.log import LOG_NAME
from nas.strategies import get_strategy
from nas.trials import TrialResult
from search_spaces import Sample, Task


@dataclass(frozen=True)
class Asked:
    """An architecture to train: tell the searcher how good it became."""

    id: str
    sample: Sample
    cost: Cost
    seed: int  # derived from the searcher's, for the training
    searcher: Searcher = field(repr=False)

    def build(self) -> Any:
        """Its network with random weights (a torch module)."""
        return self.searcher.space.build(self.sample)


class Searcher(Closing):
    """A strategy without a training loop: ``ask`` for an architecture, train it, ``tell`` its score.

    With the same seed and the same scores it asks for the same architectures as ``nasctl search --workers 1``.
    ``strategy`` and ``guide`` are those of the command line: evolution, guided by a predictor, unless you name one.
    ``trials`` is how many are meant to be trained, which evolution divides into generations. Several may be asked for
    before the first is told. ``objective`` is what scores are called in the log and in tables, any name: nothing is
    computed here. ``folder``, a new one, keeps the log, and ``Searcher.load(folder)`` resumes it after anything;
    without one it is gone when the program ends. ``ask`` gives None once a score reaches ``stop_when``, or after
    ``search_patience`` trials in a row that were no better than the best.
    ``limits`` are max_params, max_macs, max_bytes, max_peak_memory and min_params; without any the whole space is
    searched. The strategy runs in a thread of its own; close the
    searcher, or use it in ``with``. A failed training is told with ``score=None``.

    >>> with nas.Searcher(nas.space("vgg", input_shape=(1, 8, 8)), max_params="20k", trials=8) as searcher:
    ...     for _ in range(8):
    ...         trial = searcher.ask()
    ...         searcher.tell(trial, 1 / trial.cost.macs)
    ...     best = searcher.best
    >>> best.cost.params <= 20_000
    True
    """

    @in_python()
    def __init__(
        self,
        space: Space,
        *,
        strategy: str | None = None,
        guide: Literal["on", "off"] | None = None,
        trials: int = 48,
        seed: int = 0,
        objective: str = DEFAULT,
        folder: str | Path | None = None,
        stop_when: float | None = None,
        search_patience: int | None = None,
        **limits: Size,
    ) -> None:
        load_installed()
        asked = {
            "strategy": strategy, "guide": guide, "trials": trials, "seed": seed, "objective": objective,
            "stop_when": stop_when, "search_patience": search_patience,
        }  # fmt: skip
        wrong = misfits(Searcher.__init__, {**asked, "folder": folder})
        raise_all([*(f"--{name.replace('_', '-')}{error}" for name, error in wrong.items()), *_errors(space, limits)])
        raise_all(_taken(folder))
        strategy, resolved_guide = strategy_and_guide(strategy, guide)
        get_strategy(strategy)
        raise_all(guide_errors(resolved_guide, strategy))
        budget, note = resolve_budget(space.family, space.task, budget_of(limits))
        errors: list[str] = []
        values = {
            **asked, "strategy": strategy, "guide": resolved_guide, "space": space.name,
            "restrict": dict(space.family.restriction), "budget": budget, "recipe": Recipe(),
            "data": DataConfig(source=FOREIGN), "confirm": 0, "floor": False, "plugins": with_loaded(),
        }  # fmt: skip
        config = checked(SearchConfig, values, errors)
        raise_all(errors)
        assert config is not None
        if config.one_shot:
            raise UsageError(
                f"{strategy} trains a supernet itself: choose evolution, random or a strategy of your own."
            )
        facts = SearchFacts(
            input_shape=space.task.input_shape, classes=tuple(map(str, range(space.task.num_classes))), counts={},
            data_name=FOREIGN, data_key="", budget=budget, note=note, population=config.population,
        )  # fmt: skip
        self._kept = tempfile.TemporaryDirectory(prefix="nas-searcher-") if folder is None else None
        path = Path(self._kept.name, "search") if self._kept else Path(str(folder))
        start_search(path, config, facts).close()
        self._begin(path)

    @classmethod
    @in_python()
    @checked_types
    def load(cls, folder: str | Path, *, trials: int | None = None) -> Self:
        """Resume the searcher that ``folder`` is of. What was asked for and not told comes again first.

        ``trials``, if told, is their new number, to search on. RunError if there is none, or another process works
        on it.
        """
        searcher = cls.__new__(cls)
        searcher._kept = None
        searcher._begin(Path(folder), trials)
        return searcher

    _closed = False

    def _begin(self, folder: Path, trials: int | None = None) -> None:
        run = as_search(read_run(folder))
        if not run.is_foreign:
            raise RunError(f"Run {run.name!r} trains its trials itself: resume it by {typed('resume', folder)}")
        self.folder = folder
        if trials is not None and trials != run.config.trials:
            errors: list[str] = []
            config = checked(SearchConfig, {**run.config.model_dump(), "trials": trials}, errors)
            raise_all(errors)
            assert config is not None
            with EventLog(folder) as log:
                log.append(SettingsChanged(config))
            run = as_search(read_run(folder))
        self.space = Space(run.space, Task(run.facts.input_shape, len(run.facts.classes)))
        self._run, self._turns = run, Turns()
        self._thread = threading.Thread(target=self._work, name="nas-searcher", daemon=True)
        self._thread.start()
        self._turns.wait_for_the_first()

    def ask(self) -> Asked | None:
        """The next architecture to train; None when ``trials`` are under way or told, ``stop_when`` or
        ``search_patience`` ended them (``notes`` of the log say so), or nothing is left to propose."""
        self._check_open()
        spec = self._turns.take(ASK)
        if spec is None:
            return None
        return Asked(spec.id, spec.sample, self.space.cost(spec.sample), spec.seed, self)

    def tell(self, trial: Asked | str, score: float | None, *, seconds: float = 0.0) -> None:
        """The score of a trial (more is better), or None if its training failed. It is on the disk when this returns.

        ``trial`` may be its id. A score that is not finite counts as a failure. ``seconds`` are what tables show.
        UsageError for a trial that does not wait for a score, and for what is no number.
        """
        raise_misfits(Searcher.tell, {"trial": trial, "seconds": seconds})
        self._check_open()
        trial_id = trial if isinstance(trial, str) else trial.id
        known = self._run.trials.get(trial_id)
        if known is None or known.status != "running":
            raise UsageError(
                f"Trial {trial_id!r} is not waiting for a score: it was never asked for, or its score was told before."
            )
        if score is None:
            self._turns.take(TrialResult(trial_id, "failed", seconds=seconds, error="told as failed"))
            return
        try:
            number = float(score)
        except (TypeError, ValueError):
            what = f"{score!r} is not a score of trial {trial_id}: give a number, or None if its training failed."
            raise UsageError(what, errors=(("score", what),)) from None
        metrics: Metrics = {self._run.config.objective: number}
        self._turns.take(TrialResult(trial_id, "finished", {"select": metrics, "rank": metrics}, seconds=seconds))

    def _check_open(self) -> None:
        if self._closed:
            raise RunError("The searcher is closed: nas.Searcher.load(folder) resumes one that has a folder.")

    @property
    def trials(self) -> list[Trial]:
        """Every trial so far, in the order in which they were asked for."""
        return [Trial(self._run, record) for record in self._run.stage("search")]

    @property
    def best(self) -> Trial:
        """The trial with the highest score. RunError before there is one."""
        if not (best := self._run.best(1)):
            raise RunError("No trial has a score yet: tell one first.")
        return Trial(self._run, best[0])

    def __repr__(self) -> str:
        run = self._run
        told = sum(trial.status != "running" for trial in run.stage("search"))
        best = f", best {self.best!r}" if run.num_ranked else ""
        return (
            f"<Searcher: {run.config.strategy_words} over {self.space.name}, {told} of {run.config.trials} told{best}>"
        )

    def close(self) -> None:
        """End the strategy's thread; the log stays where it is. May be called again."""
        self._closed = True
        self._turns.stop()
        self._thread.join()
        if self._kept is not None:
            self._kept.cleanup()

    def _work(self) -> None:
        """The strategy's course, from the first trial or through those recorded, until it ends or is closed."""
        ended: BaseException | None = None
        try:
            with EventLog(self.folder) as log:
                self._run = run = as_search(fold(self.folder, log.entries()))
                journal = Journal(run, log)
                with suppress(Closed), session(journal, 1):
                    kind = get_strategy(run.config.strategy)
                    kind.prepare(journal, "cpu", None)
                    kind.strategy(run).run(TrialLoop(journal, self._turns))
                log.append(SessionStopped("closed by its Python program"))
        except (RunError, SearchStopped) as error:
            ended = type(error)(_with_resuming_call(str(error), self.folder)).with_traceback(error.__traceback__)
        except BaseException as error:  # for whoever asks or tells next
            ended = error
        self._turns.end(ended)


def _with_resuming_call(text: str, folder: Path) -> str:
    """A message that ends with the command that resumes a run, with what resumes this one."""
    command, here = typed("resume", folder), loaded(folder)
    return text.replace(f"{command} --plugin FILE", f"nas.load_plugin(FILE), then {here}").replace(command, here)


def _errors(space: object, limits: Mapping[str, object]) -> list[str]:
    """Errors that keep a searcher from being made, besides those of its settings."""
    errors = []
    if not isinstance(space, Space):
        name = space if isinstance(space, str) else "vgg"
        errors.append(f"--space: A searcher takes a space: nas.space({name!r}, input_shape=(3, 32, 32), classes=10).")
    known = [*LIMITS, "trials", "strategy", "guide", "seed", "objective", "folder", "stop_when", "search_patience"]
    errors += [f"There is no setting {name!r} here.{meant(name, known)}" for name in limits if name not in known]
    return errors


def _taken(folder: str | Path | None) -> list[str]:
    if folder is not None and (Path(folder) / LOG_NAME).exists() and not is_unborn(Path(folder)):
        return [f"{folder} holds a search already: nas.Searcher.load({str(folder)!r}) resumes it."]
    return []
