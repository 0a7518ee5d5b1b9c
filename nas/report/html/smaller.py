"""Pareto front over score and parameters, and the loss of accuracy of smaller networks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from nas.report.html.markup import Markup, Row, folded, number, table, tag
from nas.report.intervals import of_ranking
from nas.report.metric_text import decimal
from nas.runs import SearchRun, TrialRecord
from nas.runs.standings import confirmed, seed_scores
from nas.units import counted


def front(run: SearchRun) -> list[TrialRecord]:
    """The finished trials that no smaller one reaches the score of, the largest first."""
    return front_of(run.config.objective, run.ranked())


def front_of(objective: str, trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The same of any trials that have scores."""
    best, found = -math.inf, []
    ranked = [(trial.cost.params, -(trial.score(objective) or 0.0), trial.order, trial) for trial in trials]
    for _, minus, _, trial in sorted(ranked, key=lambda one: one[:3]):
        if -minus > best:
            best = -minus
            found.append(trial)
    return found[::-1]


def smaller(run: SearchRun, winner: TrialRecord) -> Markup:
    """Loss of score by going smaller: the front of score and size, and the networks that were trained again over
    seeds."""
    objective, ranked, best = run.config.objective, confirmed(run), front(run)
    shown = {trial.id: trial for trial in [winner, *best, *(run.trials[of] for of in ranked)]}
    if all(trial.cost.params >= winner.cost.params for trial in shown.values()):
        least = run.budget.min_params
        bound = f" The search was limited to at least {least:,} parameters (--min-params)." if least else ""
        none = tag("p", f"No smaller finished trial is on the Pareto front.{bound}", class_="note")
    else:
        none = None
    rows = []
    for trial in sorted(shown.values(), key=lambda trial: -trial.cost.params):
        score, own = trial.score(objective), winner.score(objective)
        difference = (score or 0.0) - (own or 0.0)
        mean, again = _seeds_of(run, trial.id), _seeds_of(run, winner.id)
        apart = f" ({mean[0] - again[0]:+.3f})" if mean and again and trial.id != winner.id else ""
        over_seeds = f"{decimal(mean[0])}{apart}, {counted(mean[1], 'seed')}" if mean else "-"
        rows.append(
            Row(
                [
                    f"{trial.id}{' (winner)' if run.winner and trial.id == winner.id else ''}",
                    number(trial.cost.params),
                    number(trial.cost.macs),
                    number(score, decimal(score)),
                    number(difference, f"{difference:+.3f}"),
                    number(mean[0] if mean else None, over_seeds),
                    *(
                        [number(run.expected.get(trial.id), decimal(run.expected.get(trial.id)))]
                        if run.expected
                        else []
                    ),
                    tag("code", run.line(trial.sample)),
                ],
                trial=trial.id,
            )
        )
    headings = ("trial", "parameters", "MACs", "score of one training", "difference", "mean over seeds",
                *(["expected"] if run.expected else []), "architecture")  # fmt: skip
    words = f"{objective.replace('_', ' ')} on the {run.judged_on} split"
    caption = f"Pareto front of size and score, and the finalists; {words}"
    chance = f" {words_of_chance}" if (words_of_chance := of_ranking(run)) else ""
    expected = " Expected: by the predictor, from all trials on select and rank." if run.expected else ""
    note = tag(
        "p",
        f"Differences are from the winner.{chance} The best of many single trainings is partly luck: trust "
        f"means over seeds, where there are any.{expected}",
        class_="note",
    )
    return folded("What a smaller network costs in accuracy", none, table(headings, rows, caption=caption), note,
                  is_open=True)  # fmt: skip


def _seeds_of(run: SearchRun, trial_id: str) -> tuple[float, int] | None:
    scores = seed_scores(run, trial_id)
    return (statistics.fmean(scores), len(scores)) if scores else None
