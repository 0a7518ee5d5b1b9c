"""The comparison of a search's winner with baselines as people read it in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from nas.report.tables.format import compact, make_table, percent
from nas.units import clock

SHOWN = {"balanced_accuracy": "balanced", "accuracy": "accuracy", "macro_f1": "macro F1", "worst_recall": "worst"}


def print_comparison(console: Console, document: dict[str, Any]) -> None:
    """One table for sizes, figures and differences, and what the p of so few seeds can say."""
    objective = document["objective"]
    words = objective.replace("_", " ")
    title = f"{document['run']} on {document['data']['name']}: test split, %, mean ± spread over seeds"
    numbers = ("parameters", "MACs", *SHOWN.values(), "better by", "p")
    table = make_table(title, ("run: network",), numbers)
    for row in [document["winner"], *document["others"]]:
        figures = [percent(row["test"][name]) for name in SHOWN]
        test = row.get("against_winner")
        difference, p = "", ""
        if test and test["pairs"]:
            difference, p = f"{100 * test['difference']:+.1f}", f"{test['p']:.3g} (n={test['pairs']})"
        name = f"{'* ' if test is None else ''}{row['run']}: {row['name']}"
        table.add_row(name, f"{row['params']:,}", compact(row["macs"]), *figures, difference, p)
    console.print(table)
    tests = [row["against_winner"] for row in document["others"] if row["against_winner"]["pairs"]]
    lines = [
        f"*: the search's winner, {document['winner']['seeds']} seeds. Better by: how much better it is in {words}, "
        "the mean difference, k-th seed with k-th seed. Worst: recall of the worst class."
    ]
    if tests:
        few = min(test["pairs"] for test in tests)
        least = next(test["least_p"] for test in tests if test["pairs"] == few)
        lines.append(
            f"p: exact sign-flip permutation test, two-sided; with n={few} pairs it cannot be below {least:.3g}"
            + (", so no difference can be significant at 0.05: train more seeds." if least > 0.05 else ".")
        )
    for spent in document["compute"]:
        lines.append(
            f"Compute of {spent['run']}: {spent['trainings']} trainings, {spent['epochs']:,} epochs, "
            f"{clock(spent['seconds'])} of training"
        )
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    if "plot" in document:
        console.print(f"Plot: {document['plot']}", highlight=False, soft_wrap=True)
