"""Training of a supernet, and its ranking of candidates."""

from __future__ import annotations

from nas.report.html.markup import Cell, Markup, Row, joined, number, table, tag
from nas.report.html.svg import Plot, figure, key, linear
from nas.report.metric_text import decimal
from nas.report.supernet_lines import candidates_line
from nas.report.tables.supernet import learned
from nas.runs import SearchRun


def supernet(run: SearchRun) -> Markup | None:
    """Its score and the entropy of its choices by epoch; the candidates that became trials."""
    epochs = run.supernet_epochs
    if not epochs:
        return None
    words = [learned(run)] if run.learned_choices else []
    if run.candidates is not None:
        words.append(candidates_line(run))
    scored = [(row.epoch, row.score) for row in epochs]
    entropy = [(row.epoch, row.entropy) for row in epochs] if run.learned_choices else []
    values = [y for _, y in scored + entropy]
    plot = Plot(linear("epoch", [1, len(epochs)], whole=True), linear("score on select, entropy", values))
    plot.line(scored, "c0 strong")
    plot.line(entropy, "c1")
    for row in epochs:
        plot.dot(row.epoch, row.score, "c0", f"epoch {row.epoch}: score {decimal(row.score)}, train loss "
                 f"{row.train_loss:.3f}", size=3)  # fmt: skip
    rows = [Row([Cell(str(row.epoch), row.epoch), number(row.score, decimal(row.score)),
                 number(row.train_loss, f"{row.train_loss:.3f}"), number(row.entropy, f"{row.entropy:.3f}"),
                 number(row.expected_params, f"{row.expected_params:,.0f}"),
                 number(row.within_budget, f"{100 * row.within_budget:.0f} %")]) for row in epochs]  # fmt: skip
    headings = ("epoch", "score", "train loss", "entropy", "expected parameters", "within the budget")
    behind = table(headings, rows, caption="Epochs of the supernet")
    legend = key(("line c0", "score of the supernet on select"),
                 *([("line c1", "entropy of the choices (0: decided)")] if entropy else []))  # fmt: skip
    drawn = plot.drawn(f"A supernet over {len(epochs)} epochs, its score {decimal(epochs[-1].score)} in the end.")
    return joined([tag("p", line) for line in words], figure("Training of the supernet", drawn, behind, None, legend),
                  _candidates(run))  # fmt: skip


def _candidates(run: SearchRun) -> Markup | None:
    tried = run.stage("search")
    pairs = [(one, trial) for one in run.ranked_candidates for trial in tried if trial.sample == one.sample]
    if not pairs:
        return None
    objective = run.config.objective
    plot = Plot(linear("score with inherited weights", [one.score for one, _ in pairs]),
                linear("score trained anew", [t.score(objective) or 0.0 for _, t in pairs]))  # fmt: skip
    for one, trial in pairs:
        if (score := trial.score(objective)) is not None:
            plot.dot(one.score, score, "c0", f"trial {trial.id}: inherited {decimal(one.score)}, own {decimal(score)}",
                     trial=trial.id)  # fmt: skip
    rows = [Row([Cell(t.id, t.order), number(c.score, decimal(c.score)), number(s := t.score(objective), decimal(s)),
                 number(c.params)], trial=t.id) for c, t in pairs]  # fmt: skip
    behind = table(("trial", "inherited", "own score", "parameters"), rows, caption="Candidates that became trials")
    return figure("Inherited and own scores", plot.drawn(f"{len(pairs)} candidates that became trials."), behind)
