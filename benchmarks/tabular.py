"""Strategies on a table of networks that were trained beforehand: hundreds of searches in minutes, in simulated time.

.venv/bin/python benchmarks/tabular.py --table benchmarks/tables/resnet-digits.csv
.venv/bin/python benchmarks/tabular.py --table FILE.csv --max-params 400k --trials 12 24 50 --workers 4 --plot out.png
.venv/bin/python benchmarks/tabular.py --table F.csv --strategies hill-climb random --plugin docs/examples/hill_climb.py

A table is a CSV with a row a network. Its columns:

    cost            seconds that training it takes
    score           what a search sees of it; more is better
    score:SEED      the same by seeds, instead: each simulated search sees one of those that a row has
    score@EPOCHS    what a pruner sees after so many epochs (with --prune); the last of them are all epochs
    params, macs    what a budget limits, where known
    test:NAME       what is reported, and never seen: the first of them, or --test NAME
    anything else   a choice: numbers if all of its values are, else words

A strategy is made as nasctl makes it, for a space made of the table, and proposes in its own loop; only the training is
looked up. ``guided`` is the default search, evolution with --guide on; ``guided-random`` is random search with it. Each
search is made with so many trials, since some strategies go by that. What is reported is the test value of the network
with the best score so far, and the regret: what the best network of the table (the oracle, within the budget) has more.
"Of expected" is the regret of the network that a guided search would confirm first, which it chooses by what all trials
together tell. If not every combination of choices has a row, all strategies are dealt with alike: they choose among
rows not yet taken, and a proposal without a row stands for the nearest that fits. The p-value is of Wilcoxon's
signed-rank test over the seeds, against the first strategy named.

--json FILE writes {"table", "rows", "fitting", "test", "oracle", "workers", "results": [{"strategy", "limit", and a
value a seed of "test", "regret", "expected" (the other regret), "score" and "trials"}]}. --optuna PATH adds Optuna's
TPE and random search, from a folder that it was installed into (pip install --target PATH optuna).
"""

from __future__ import annotations

import argparse
import heapq
import json
import logging
import math
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hardware import hardware
from table_space import NAME, Floats, Table, TableError, TableSpace, read_table

from budgets import Budget, Cost, parse_size
from nas.config import DataConfig, Recipe, SearchConfig
from nas.plugins.loading import load_plugins
from nas.runs import SearchRun, TrialRecord
from nas.runs.events import SearchFacts, TrialEnded, TrialSubmitted
from nas.runs.log import LogEntry
from nas.strategies import Proposal, get_strategy
from nas.strategies.base import Tell, drive
from nas.strategies.guided_proposals import expected_scores
from nas.trials import TrialResult

OBJECTIVE = "balanced_accuracy"
GUIDED = {"guided": "evolution", "guided-random": "random"}  # nasctl's --strategy, with --guide on


class SimulatedTrials:
    """``nas.strategies.base.Trials`` whose training is looked up, by a clock that only counts."""

    def __init__(self, run: SearchRun, space: TableSpace, *, workers: int, seconds: float, prune: bool = False) -> None:
        from nas.strategies.median_pruner import MedianPruner

        self.run, self.space, self.table = run, space, space.table
        self.workers, self.seconds = workers, seconds
        self.clock = 0.0
        self.ended: list[int] = []  # rows of the table, in the order in which trainings ended
        self._scores = _seen(self.table, run.config.seed)
        self._running: list[tuple[float, int, int]] = []  # end, number, row of the table
        self._events = self._started = 0
        self._tell: Tell = lambda trial: None
        epochs = max(self.table.curves, default=0)
        self._pruner = MedianPruner(run.course, self._history, OBJECTIVE, epochs) if prune else None
        self.rows: dict[str, int] = {}

    def attend(self, tell: Tell) -> None:
        self._tell = tell

    def slot_free(self) -> bool:
        while len(self._running) == self.workers:
            self._end_one()
        return self._started < self.run.config.trials and self.clock < self.seconds

    def submit(self, proposal: Proposal, *, as_recorded: bool = False) -> str:
        self._started += 1
        trial_id, sample = str(self._started), proposal.sample
        row = int(self.space.places(self.space.encode(sample)[None])[0])
        assert row >= 0, f"{sample} is not in the table"
        self.space.free[row] = False
        self.rows[trial_id] = row
        cost = Cost(*map(int, self.table.costs[row]))
        self._apply(TrialSubmitted(trial_id, "search", trial_id, str(row), sample, cost, self._started, proposal.note))
        share = 1.0
        if self._pruner is not None:
            share = self._share(row, self._pruner.threshold(trial_id))
        heapq.heappush(self._running, (self.clock + share * self.table.seconds[row], self._started, row))
        return trial_id

    def drain(self) -> None:
        while self._running:
            self._end_one()

    def _share(self, row: int, least: Sequence[float]) -> float:
        """Of its epochs that a training takes: less than 1 if it is pruned."""
        epochs = max(self.table.curves)
        for epoch in sorted(self.table.curves)[:-1]:
            if least and self.table.curves[epoch][row] < least[epoch - 1]:
                return epoch / epochs
        return 1.0

    def _history(self, trial: TrialRecord) -> list[dict[str, float]]:
        known = sorted(self.table.curves)
        row = self.rows[trial.id]
        at = [min((e for e in known if e >= epoch), default=known[-1]) for epoch in range(1, known[-1] + 1)]
        return [{"epoch": n, f"select_{OBJECTIVE}": self.table.curves[e][row]} for n, e in enumerate(at, start=1)]

    def _end_one(self) -> None:
        self.clock, number, row = heapq.heappop(self._running)
        trial_id, score = str(number), float(self._scores[row])
        figures = {OBJECTIVE: score}
        result = TrialResult(
            trial_id, "finished", {"select": figures, "rank": figures}, seconds=self.table.seconds[row]
        )
        self._apply(TrialEnded(result, "search", 1))
        self.ended.append(row)
        self._tell(self.run.trials[trial_id])

    def _apply(self, event: TrialSubmitted | TrialEnded) -> None:
        self._events += 1
        self.run.apply(LogEntry(self._events, event, self.clock, self.clock))


def _seen(table: Table, seed: int) -> Floats:
    """The score that a simulated search sees of each network: of a seed that it was trained with."""
    order = np.random.default_rng([seed, 7]).random(table.scores.shape)
    order[np.isnan(table.scores)] = -1
    return np.asarray(np.take_along_axis(table.scores, order.argmax(axis=1)[:, None], axis=1)[:, 0])


@dataclass(frozen=True)
class Job:
    """One simulated search."""

    table: Table
    strategy: str
    seed: int
    trials: int
    workers: int = 1
    seconds: float = math.inf
    prune: bool = False


@dataclass(frozen=True)
class Found:
    """Result of one search: the network with the best score."""

    score: float
    test: float
    promising: float  # the test value of the network that would be confirmed first: by prediction, of a guided search
    trials: int
    seconds: float  # that the proposals took, really


def search(job: Job) -> Found:
    """Carry out a search on a table; ``optuna-tpe`` and ``optuna-random`` are Optuna's samplers."""
    space = TableSpace(job.table)
    run = _run_of(job, space)
    trials = SimulatedTrials(run, space, workers=job.workers, seconds=job.seconds, prune=job.prune)
    begun = time.perf_counter()
    if job.strategy.startswith("optuna-"):
        drive(Optuna(job.strategy[7:], space, job.seed), trials)
    else:
        get_strategy(run.config.strategy).strategy(run).run(trials)
    scores = [float(trials._scores[row]) for row in trials.ended]
    best = int(np.argmax(scores))
    took = time.perf_counter() - begun
    test = float(job.table.test[trials.ended[best]])
    expected = expected_scores(run) if run.config.guide == "on" else {}
    first = trials.rows[max(expected, key=lambda trial: expected[trial])] if expected else trials.ended[best]
    return Found(scores[best], test, float(job.table.test[first]), len(scores), took)


def _run_of(job: Job, space: TableSpace) -> SearchRun:
    """The record of a search on a table, as nasctl would have begun it."""
    budget = Budget()
    strategy = GUIDED.get(job.strategy, job.strategy)
    config = SearchConfig(
        space=NAME, data=DataConfig(), budget=budget, recipe=Recipe(), strategy=strategy, trials=job.trials,
        seed=job.seed, objective=OBJECTIVE, workers=job.workers, guide="on" if job.strategy in GUIDED else "off",
    )  # fmt: skip
    facts = SearchFacts(
        input_shape=(1, 8, 8), classes=("a", "b"), counts={}, data_name=NAME, data_key="", budget=budget, note="",
        population=config.population,
    )  # fmt: skip
    run = SearchRun(folder=Path(NAME), config=config, facts=facts, versions={}, started=0.0)
    run.space = space  # type: ignore[misc]  # which is otherwise looked up by its name
    return run


class Optuna:
    """An ``AskTell``: one of Optuna's samplers. Numbers are suggested by their place, words as categories."""

    def __init__(self, name: str, space: TableSpace, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        self.study = optuna.create_study(direction="maximize", sampler=samplers[name](seed=seed))
        self.space = space
        self.asked: dict[str, Any] = {}

    def ask(self) -> Proposal | None:
        if not self.space.free.any():
            return None
        trial = self.study.ask()
        row = [
            choice.values.index(trial.suggest_categorical(choice.label, list(choice.values)))
            if isinstance(choice.values[0], str)
            else trial.suggest_int(choice.label, 0, len(choice.values) - 1)
            for choice in self.space.choices
        ]
        rows = np.array([row], np.int16)
        at = int(self.space.places(rows)[0])
        if at < 0 or not self.space.free[at]:
            rows = self.space.nearest(rows, taken_too=True)
        self.asked[str(len(self.asked) + 1)] = trial
        return Proposal(self.space.decode(rows[0]))

    def tell(self, trial: TrialRecord) -> None:
        self.study.tell(self.asked[trial.id], trial.score(OBJECTIVE))


@dataclass
class Result:
    """Results of a strategy over the seeds."""

    strategy: str
    limit: str  # "24 trials", "time"
    found: list[Found]

    def regrets(self, oracle: float) -> Floats:
        return np.array([oracle - each.test for each in self.found])


def p_value(mine: Floats, first: Floats) -> float:
    """Of Wilcoxon's signed-rank test that two strategies reach the same, seed by seed."""
    from scipy.stats import wilcoxon

    return 1.0 if (mine == first).all() else float(wilcoxon(mine, first).pvalue)


def prepare(plugins: Sequence[str], optuna: Path | None) -> None:
    """Prepare a process before it searches."""
    load_plugins(plugins)
    if optuna is not None and str(optuna) not in sys.path:
        sys.path.append(str(optuna))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--test", metavar="NAME", help="column test:NAME that is reported (default: the first)")
    parser.add_argument("--max-params", type=parse_size, metavar="SIZE")
    parser.add_argument("--min-params", type=parse_size, metavar="SIZE")
    parser.add_argument("--max-macs", type=parse_size, metavar="SIZE")
    parser.add_argument("--strategies", nargs="+", default=["guided", "evolution", "random"], metavar="NAME")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE.py", help="brings in strategies")
    parser.add_argument("--optuna", type=Path, metavar="PATH", help="adds optuna-tpe and optuna-random from there")
    parser.add_argument("--trials", nargs="+", type=int, default=[12, 24, 50, 100, 300], metavar="N")
    parser.add_argument("--time-limit", type=float, metavar="S", help="simulated seconds (default: 24 mean trainings)")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1, help="trainings at the same time (default: 1)")
    parser.add_argument("--prune", action="store_true", help="stop trainings early, by the columns score@EPOCHS")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    asked = parser.parse_args()
    try:
        whole = read_table(asked.table, asked.test)
        table = whole.within(Budget(asked.max_params, asked.max_macs, min_params=asked.min_params))
    except (TableError, OSError) as error:
        parser.exit(2, f"tabular.py: {error}\n")
    asked.strategies += ["optuna-tpe", "optuna-random"] if asked.optuna else []
    results, oracle = compare(table, asked), float(table.test.max())
    show(table, len(whole.rows), results, oracle, asked)
    if asked.json:
        asked.json.write_text(json.dumps(document(table, len(whole.rows), results, oracle, asked)))
    if asked.plot:
        plot(asked.plot, table, results, oracle)


def compare(table: Table, asked: argparse.Namespace) -> list[Result]:
    """All searches, by strategy and limit."""
    counts = [count for count in asked.trials if count < len(table.rows)]
    seconds = asked.time_limit or 24 * float(table.seconds.mean())
    limits = {f"{count} trials": (count, math.inf) for count in counts} | {"time": (len(table.rows), seconds)}
    keys = [(strategy, limit) for limit in limits for strategy in asked.strategies]
    jobs = [
        Job(table, strategy, seed, *limits[limit][:1], asked.workers, limits[limit][1], asked.prune)
        for strategy, limit in keys
        for seed in range(asked.seeds)
    ]
    logging.disable(logging.WARNING)
    with ProcessPoolExecutor(asked.processes, initializer=prepare, initargs=(asked.plugin, asked.optuna)) as pool:
        found = []
        for each in pool.map(search, jobs, chunksize=5):
            found.append(each)
            if sys.stderr.isatty():
                print(f"\r{len(found)} of {len(jobs)} searches", end="", file=sys.stderr)
    parts = [found[start : start + asked.seeds] for start in range(0, len(found), asked.seeds)]
    return [Result(strategy, limit, part) for (strategy, limit), part in zip(keys, parts, strict=True)]


def show(table: Table, rows: int, results: list[Result], oracle: float, asked: argparse.Namespace) -> None:
    print(hardware())
    print(
        f"{table.name}: {rows:,} networks, {len(table.rows):,} fit; test: {table.test_name}; oracle {oracle:.4f}; "
        f"{asked.seeds} seeds, {asked.workers} workers"
    )
    heads = f"{'limit':<12} {'strategy':<16} {'test':>17} {'regret':>8} {'p':>7} {'of expected':>12}"
    print(f"{heads} {'trials':>7} {'ms each':>8}")
    first: dict[str, Floats] = {}
    for result in results:
        regrets = result.regrets(oracle)
        tests = [each.test for each in result.found]
        p = f"{p_value(regrets, first[result.limit]):.3f}" if result.limit in first else ""
        first.setdefault(result.limit, regrets)
        trials = statistics.fmean(each.trials for each in result.found)
        promised = [oracle - each.promising for each in result.found]
        expected = f"{statistics.fmean(promised):.4f}" if result.strategy in GUIDED else ""
        took = 1000 * sum(each.seconds for each in result.found) / sum(each.trials for each in result.found)
        test = f"{statistics.fmean(tests):.4f} ± {statistics.pstdev(tests):.4f}"
        print(
            f"{result.limit:<12} {result.strategy:<16} {test:>17} "
            f"{regrets.mean():>8.4f} {p:>7} {expected:>12} {trials:>7.1f} {took:>8.1f}"
        )


def document(
    table: Table, rows: int, results: list[Result], oracle: float, asked: argparse.Namespace
) -> dict[str, Any]:
    return {
        "table": table.name, "rows": rows, "fitting": len(table.rows), "test": table.test_name, "oracle": oracle,
        "workers": asked.workers,
        "results": [
            {
                "strategy": result.strategy, "limit": result.limit, "test": [each.test for each in result.found],
                "score": [each.score for each in result.found], "regret": result.regrets(oracle).tolist(),
                "expected": [oracle - each.promising for each in result.found],
                "trials": [each.trials for each in result.found],
            }
            for result in results
        ],
    }  # fmt: skip


def plot(path: Path, table: Table, results: list[Result], oracle: float) -> None:
    """Mean regret by trials, with its standard error."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for strategy in dict.fromkeys(result.strategy for result in results):
        mine = [result for result in results if result.strategy == strategy and result.limit != "time"]
        regrets = [result.regrets(oracle) for result in mine]
        errors = [each.std() / math.sqrt(len(each)) for each in regrets]
        counts = [int(result.limit.split()[0]) for result in mine]
        axes.errorbar(counts, [each.mean() for each in regrets], errors, marker="o", capsize=3, label=strategy)
    axes.set(xscale="log", xlabel="trials", ylabel=f"regret ({table.test_name})", title=table.name)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
