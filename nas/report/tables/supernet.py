"""Tables of a supernet: the candidates that became trials, and the probabilities learned for each choice."""

from __future__ import annotations

from rich.table import Table

from nas.report.metric_text import decimal
from nas.report.screen import Screen
from nas.report.supernet_lines import candidates_line
from nas.report.tables.format import make_table
from nas.runs import SearchRun


def print_supernet(console: Screen, run: SearchRun) -> None:
    """Nothing if the run has none; what there is so far if it still trains."""
    if run.supernet_epochs and run.learned_choices:
        console.print(learned(run), highlight=False)
    if run.candidates is None:
        return
    console.print(candidates_line(run), highlight=False)
    if run.stage("search"):
        console.print(candidates_table(run))


def learned(run: SearchRun) -> str:
    """The most likely value of every choice with its probability, and the share of those without weights."""
    last = run.supernet_epochs[-1]
    words = []
    for label, values in run.learned_choices.items():
        probabilities = last.probabilities[label]
        best = max(range(len(values)), key=lambda index: probabilities[index])
        words.append(f"{label}={values[best]} ({probabilities[best]:.2f})")
    skips = "" if last.skip_share is None else f"; share without weights {100 * last.skip_share:.0f} %"
    return f"Likeliest after epoch {last.epoch}: {', '.join(words)}{skips}"


def candidates_table(run: SearchRun) -> Table:
    """A row a candidate that became a trial, in the supernet's order."""
    objective = run.config.objective
    tried = run.stage("search")
    trials = [(c, trial) for c in run.ranked_candidates for trial in tried if trial.sample == c.sample]
    title = f"Candidates that became trials; {objective.replace('_', ' ')} on rank, inherited and trained from scratch"
    if any(candidate.far_under for candidate, _ in trials):
        title += "; ! far below the supernet"
    numbers = ("inherited", "own score", "log-likelihood", "parameters")
    table = make_table(title, ("trial",), numbers, f"{run.config.space} architecture")
    for candidate, trial in trials:
        likelihood = candidate.log_likelihood
        table.add_row(
            trial.id, ("! " if candidate.far_under else "") + decimal(candidate.score),
            decimal(trial.score(objective)), "-" if likelihood is None else f"{likelihood:.1f}",
            f"{candidate.params:,}", run.line(trial.sample),
        )  # fmt: skip
    return table
