"""Lines printed while a supernet trains; its tables are in ``nas.report.tables.supernet``."""

from __future__ import annotations

from nas.runs import SearchRun
from nas.runs.events import SupernetEpoch, SupernetProgress
from nas.units import clock, counted, memory


def begin_line(run: SearchRun) -> str:
    """Its size, the memory it takes, and its epochs."""
    assert run.supernet is not None
    facts, warm_up = run.supernet, run.supernet.warm_up_epochs
    first = "the first" if warm_up == 1 else f"the first {warm_up}"
    words = f", {first} of weights alone (warm-up)" if warm_up else ""
    return (
        f"supernet  {facts.params:,} weights for {len(facts.choices)} choices, about "
        f"{memory(facts.peak_bytes)} at the peak; {counted(facts.epochs, 'epoch')}{words}{_left_out(run)}"
    )


def _left_out(run: SearchRun) -> str:
    assert run.supernet is not None
    if run.plugin_errors:
        return ""
    count = sum(len(c.values) - len(run.supernet.choices[c.label]) for c in run.space.choices)
    return f"; {counted(count, 'value')} of choices, too large for the budget, left out" if count else ""


def progress_line(run: SearchRun, event: SupernetProgress) -> str:
    """Progress of an epoch and its remaining time if steps take as long as before; in the first, that of all epochs
    too."""
    if not event.epoch:
        return "supernet  is being built"
    assert run.supernet is not None
    each, epochs = event.seconds / event.steps, run.supernet.epochs
    left = each * (event.of_steps - event.steps)
    whole = left + (epochs - 1) * each * event.of_steps
    return (
        f"epoch {event.epoch}/{epochs}: step {event.steps} of {event.of_steps}, {clock(left)} left in this epoch"
        f"{f', at least {clock(whole)} in all' if event.epoch == 1 else ''}"
    )


def epoch_line(run: SearchRun, row: SupernetEpoch) -> str:
    """One epoch with all its metrics."""
    assert run.supernet is not None
    epochs = run.supernet.epochs
    place = f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}"
    return f"{place}  {'  '.join([*learning(run, row), *sizes(run, row)])}  {row.seconds:.1f} s"


def learning(run: SearchRun, row: SupernetEpoch) -> list[str]:
    """Losses, entropy of the choices and the supernet's score. Without alphas there is no loss for them to lower."""
    has_alphas = run.config.strategy != "random-oneshot"
    words = [f"train loss {row.train_loss:.3f}"]
    if row.select_loss is not None:
        words.append(f"select loss {row.select_loss:.3f}")
    elif has_alphas:
        words.append("warm-up")
    if has_alphas:
        words.append(f"entropy {row.entropy:.2f}")
    return [*words, f"score {row.score:.3f}"]


def sizes(run: SearchRun, row: SupernetEpoch) -> list[str]:
    """Parameters against the budget: what the choices make expected, and most likely."""
    words = [f"parameters {_judged(run, row.expected_params)} expected"]
    if run.config.strategy != "random-oneshot":
        words.append(f"{_judged(run, row.likeliest_params)} likeliest")
    words.append(f"{_percent(row.within_budget)} fit")
    if row.skip_share is not None:
        words.append(f"without weights {_percent(row.skip_share)}")
    return words


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else f"{100 * share:.1g} %"


def _judged(run: SearchRun, params: float) -> str:
    most, least = run.budget.max_params, run.budget.min_params
    over = most is not None and params > most
    under = least is not None and params < least
    return f"{params:,.0f}{' (over)' if over else ' (under)' if under else ''}"


def candidates_line(run: SearchRun) -> str:
    """Numbers of samples, feasible and ranked ones, and the best's score against the supernet's own."""
    found = run.candidates
    assert found is not None
    objective = run.config.objective.replace("_", " ")
    return (
        f"candidates  {found.drawn:,} sampled, {found.fitting:,} fit the budget, {len(found.ranked)} ranked with the "
        f"supernet's weights in {found.seconds:.1f} s; {objective} {found.ranked[0].score:.3f} for the best, "
        f"{found.supernet_score:.3f} for the supernet itself"
    )
