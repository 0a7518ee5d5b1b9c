"""The origin study's networks beside those that searches find, on a part of its data.

.venv/bin/python benchmarks/origin.py nets --data PATH --names model1 model2      by hand, found, random, trained alike
.venv/bin/python benchmarks/origin.py mark --data PATH --space vgg                one within 119,318 parameters
.venv/bin/python benchmarks/origin.py settings --data PATH                        ResNet-18 by the six settings

Each is what `nasctl` does, typed: its runs lie in --kept, and what is there is read or resumed. `nets` makes a run
a network, so that it can be done in pieces; the table is of all that have finished. A network of more than 150,000
parameters has one seed, others three. What was found is exported to --kept/exported, to be scored on other images:
`nasctl evaluate FOLDER --data MORE`. Hours on a CPU: `nets` says how long each will take.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hardware import hardware
from scipy.stats import spearmanr

from baselines.networks.origin import ORIGIN_NETS

ONE_SEED_ABOVE = 150_000  # parameters
MARK = 119_318  # parameters that the found network may have: those of model3_blsmote
METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
NASCTL = str(Path(sys.executable).with_name("nasctl"))


def nasctl(*words: str, told: bool = True) -> str:
    """Run the command; its JSON output. Progress goes to this terminal where ``told``."""
    if told:
        print("nasctl", *words, file=sys.stderr, flush=True)
        subprocess.run([NASCTL, *words], check=True, stdout=sys.stderr)
        return ""
    return subprocess.run([NASCTL, *words], check=True, stdout=subprocess.PIPE, text=True).stdout


def done(kept: Path, run: str, *command: str) -> dict[str, Any]:
    """The report of a run, which is begun or resumed if it is not done."""
    where = ("--runs", str(kept))
    if not (kept / run / "log.sqlite").exists():
        nasctl(*command, "--run", run, *where)
    elif json.loads(nasctl("status", "--run", run, *where, "--json", told=False))["state"] != "done":
        nasctl("resume", run, *where)
    report = ("baseline", "report", run) if command[0] == "baseline" else ("status", "--run", run)
    return dict(json.loads(nasctl(*report, *where, "--json", told=False)))


def setting_of(name: str) -> int:
    """The setting that the study reports a network by."""
    return 6 if name == "model3_blsmote" else 2


def nets(asked: argparse.Namespace) -> None:
    """Each network by hand, as a search finds it within its parameters, and a random one of its size."""
    reports = {}
    for name, net in ORIGIN_NETS.items():
        run, seeds = f"hand-{name}", 1 if net.params > ONE_SEED_ABOVE else 3
        if name in asked.names:
            members = f"{name}-setting{setting_of(name)}*" if asked.rivals else f"{name}-setting{setting_of(name)}"
            reports[name] = done(
                asked.kept, run, "baseline", "run", "hand-nets", "--data", asked.data, "--members", members,
                "--seeds", str(seeds), *asked.flags,
            )  # fmt: skip
            if asked.rivals:
                export(asked.kept, run, f"{name}-setting{setting_of(name)}-found")
        elif (asked.kept / run).exists():
            reports[name] = json.loads(
                nasctl("baseline", "report", run, "--runs", str(asked.kept), "--json", told=False)
            )
    print(f"{'':<16} {'':<7} {'params':>8} {'seeds':>5}" + "".join(f" {f.replace('_', ' '):>16}" for f in METRICS))
    for name, report in reports.items():
        for row in report["members"]:
            print(
                f"{name:<16} {row['chosen'] or 'by hand':<7} {row['params']:>8,} {row['seeds']:>5}{shown(row['test'])}"
            )
            if row["reported"]:
                published = "".join(f" {row['reported'].get(metric, float('nan')):>16.3f}" for metric in METRICS)
                print(f"{'':<16} {'reported':<7} {'':>7} {'':>5}{published}")
    summary(list(reports.values()))


def summary(reports: list[dict[str, Any]]) -> None:
    """Print the agreement of the order with the published one, and the comparison of found networks."""
    by_hand = [row for report in reports for row in report["members"] if row["chosen"] is None and row["seeds"]]
    for metric in ("accuracy", "macro_f1"):
        pairs = [(row["test"][metric]["mean"], row["reported"][metric]) for row in by_hand if row["reported"]]
        if len(pairs) > 2:
            order = spearmanr(*zip(*pairs, strict=True)).statistic
            print(f"order by {metric} against the published one, {len(pairs)} networks: Spearman {order:.2f}")
    found = [one for report in reports for one in report["found"]]
    for figure in dict.fromkeys(one["figure"] for one in found):
        mine = [one for one in found if one["figure"] == figure and one["pairs"]]
        good = sum(one["at_least_as_good"] for one in mine)
        print(f"found at least as good as by hand, {metric}: {good} of {sum(one['pairs'] for one in mine)}")
        above = [one["above_random"] for one in mine if one["above_random"] is not None]
        if above:
            print(f"found above the random one, {metric}: {100 * sum(above) / len(above):+.2f} points on average")


def mark(asked: argparse.Namespace) -> None:
    """A network within ``MARK`` parameters: searched on a part of the images, then trained long on all of them."""
    name = f"mark-{asked.space}"
    done(
        asked.kept, name, "search", "--space", asked.space, "--max-params", str(MARK), "--data", asked.data,
        "--max-images", str(asked.images), "--no-floor", *asked.flags,
    )  # fmt: skip
    report = done(
        asked.kept, f"{name}-long", "baseline", "run", "losses", "--arch", f"{asked.kept / name}", "--members",
        "custom-ce,balanced-softmax", "--data", asked.data, "--epochs", str(asked.epochs), "--seeds", "1", *asked.flags,
    )  # fmt: skip
    print(f"{'':<24} {'params':>8}" + "".join(f" {metric.replace('_', ' '):>16}" for metric in METRICS))
    for row in report["members"]:
        print(f"{asked.space + ', ' + row['name']:<24} {row['params']:>8,}{shown(row['test'])}")
        export(asked.kept, f"{name}-long", row["name"])


def settings(asked: argparse.Namespace) -> None:
    """ResNet-18 from scratch by the six settings, on a part of the images at 64 pixels."""
    report = done(
        asked.kept, "settings", "baseline", "run", "resnet18-settings", "--from-scratch", "--input-size", "64",
        "--data", asked.data, "--max-images", str(asked.images), "--seeds", "1", *asked.flags,
    )  # fmt: skip
    for row in report["members"]:
        print(f"{row['name']:<30}{shown(row['test'])}  published {row['reported'].get('accuracy')}")
    print(f"order against the published one: {report['agreement_with_published']}")


def shown(test: dict[str, Any]) -> str:
    found = [(test[metric]["mean"], test[metric]["std"]) for metric in METRICS]
    cells = ["-" if mean is None else f"{mean:.3f}" + (f" ± {std:.3f}" if std else "") for mean, std in found]
    return "".join(f" {cell:>16}" for cell in cells)


def export(kept: Path, run: str, member: str) -> None:
    """The network of a member as a folder, unless it is there."""
    out = kept / "exported" / f"{run}-{member}"
    if not out.exists():
        nasctl("export", "--run", run, "--runs", str(kept), "--trial", member, "--out", str(out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("nets", "mark", "settings"))
    parser.add_argument("--data", required=True)
    parser.add_argument("--kept", type=Path, default=Path("runs/origin"))
    parser.add_argument("--names", nargs="*", choices=list(ORIGIN_NETS), default=list(ORIGIN_NETS), help="of nets")
    parser.add_argument("--no-rivals", dest="rivals", action="store_false", help="nets: the networks by hand alone")
    parser.add_argument("--space", default="vgg", help="of mark")
    parser.add_argument("--images", type=int, default=8_000, help="that mark searches on, or settings trains on")
    parser.add_argument("--epochs", type=int, default=24, help="of mark's long training")
    parser.add_argument("flags", nargs="*", help="after --: for nasctl search and nasctl baseline run")
    asked = parser.parse_intermixed_args()
    print(hardware())
    {"nets": nets, "mark": mark, "settings": settings}[asked.table](asked)


if __name__ == "__main__":
    main()
