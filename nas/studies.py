"""From a study as data and what was typed to a plan: data opened, every network settled, counted and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines import FixedNetwork, get_network, network_names
from baselines.hand_nets import HAND_NETS, hand_net
from baselines.registry import SMALL
from baselines.studies import Member, Study, get_members, get_study
from budgets import cost_of
from nas.config import MemberConfig, StudyConfig, checked, raise_all
from nas.data import Dataset, open_data
from nas.data.config import DataConfig
from nas.errors import UsageError, attempt, nearest
from nas.executors import WorkerSlot, plan_slots
from nas.options import Flags, converted, data_config, parse_duration
from nas.recipe import Recipe
from nas.recipe_rules import METHOD_FLAGS, check_together
from nas.runs import Run, load_run
from nas.search import counts_by_split
from search_spaces import Task, get_space

RESNET18_FLAGS = ("input_size", "weights", "from_scratch")
STUDY_FLAGS = ("seeds", "workers", "trials_per_gpu", "device", "seed", "objective", "profile")
RECIPE_FLAGS = ("epochs", "batch_size")


@dataclass(frozen=True)
class StudyPlan:
    """What is known before the first training: everything is checked, and nothing is written yet."""

    config: StudyConfig
    facts: dict[str, Any]
    slots: list[WorkerSlot]


@dataclass(frozen=True)
class _Asked:
    """What was typed, as far as it could be read."""

    study: Study
    members: tuple[Member, ...]
    network: str  # of members that name none
    arch: tuple[Run, str] | None  # a trial of a search, instead of it
    settings: dict[str, Any]  # of a ResNet-18


def plan_study(flags: Flags, *, progress: Callable[[int, int], None] | None = None) -> StudyPlan:
    """Everything about a baseline run. UsageError with every fault found in the flags and the data."""
    faults: list[str] = []
    asked = _asked(flags, faults)
    slots = attempt(lambda: plan_slots(flags["device"], _number(flags["workers"]), None), faults)
    data_settings = _data(flags, asked, faults)
    data = attempt(lambda: open_data(data_settings, progress=progress), faults) if data_settings else None
    raise_all(faults)
    assert asked and slots and data and data_settings
    task = Task(data.input_shape, len(data.classes))
    members = [_settled(member, asked, flags, task, data, data_settings, faults) for member in asked.members]
    values = {name: flags.get(name) for name in STUDY_FLAGS} | {"time_limit": None, "trial_timeout": None}
    for name in ("time_limit", "trial_timeout"):
        values[name] = converted(parse_duration, name, flags, faults)
    values["seeds"] = values["seeds"] or asked.study.seeds
    settled = {"study": asked.study.name, "sentence": asked.study.sentence, "data": data_settings}
    config = checked(StudyConfig, {**values, **settled, "members": [m for m in members if m]}, faults)
    raise_all(faults)
    assert config
    facts = {
        "input_shape": list(data.input_shape),
        "classes": list(data.classes),
        "budget": {},
        "note": "",
        "counts": counts_by_split(data),
        "data_name": data.name,
        "data_key": data.key,
        "members": {member.name: _counted(member, task) for member in config.members},
    }
    return StudyPlan(config, facts, slots)


def _asked(flags: Flags, faults: list[str]) -> _Asked | None:
    study = attempt(lambda: get_study(flags["study"]), faults)
    if study is None:
        return None
    names = [name.strip() for name in (flags["members"] or "").split(",") if name.strip()]
    members = attempt(lambda: get_members(study, names), faults) or ()
    network = flags["network"] or study.network
    attempt(lambda: _known_network(network), faults)
    if flags["network"] and flags["arch"]:
        faults.append("--network and --arch both say what is trained: give one of them.")
    if (flags["network"] or flags["arch"]) and study.members[0].network:
        faults.append(f"{study.name} has its own networks: leave out --network and --arch.")
    arch = attempt(lambda: _found(flags["arch"], Path(flags["runs"])), faults) if flags["arch"] else None
    networks = {member.network or network for member in members or study.members}
    uses_resnet18 = "resnet18" in networks and not flags["arch"]
    for flag in RESNET18_FLAGS:
        if flags[flag] and not uses_resnet18:
            faults.append(f"--{flag.replace('_', '-')} belongs to resnet18, which is not trained here: leave it out.")
    settings = attempt(lambda: _resnet18_settings(flags, may_download=not faults), faults) if uses_resnet18 else {}
    return _Asked(study, members, network, arch, settings or {})


def _known_network(name: str) -> None:
    known = [*network_names(), *HAND_NETS]
    if name not in known:
        raise UsageError(f"There is no network {name!r}.{nearest(name, known)} Networks: {', '.join(known)}.")


def _found(text: str, runs: Path) -> tuple[Run, str]:
    """The run and the trial that ``RUN:TRIAL`` names; only RUN: its winner, or the best so far."""
    name, _, trial_id = text.partition(":")
    run = load_run(name, runs)
    best = [run.winner["trial"]] if run.winner else [trial.id for trial in run.best(1)]
    if run.search and not trial_id and not best:
        raise UsageError(f"--arch {text}: run {name!r} has no finished trial yet.")
    return run, run.trial(trial_id or best[0]).id


def _resnet18_settings(flags: Flags, *, may_download: bool) -> dict[str, Any]:
    """Where the weights of a ResNet-18 come from, and the size of its input; the file is checked here. Nothing is
    downloaded for a command that is refused anyway."""
    from baselines.imagenet import check_weights, downloaded_weights, sha256

    settings: dict[str, Any] = {}
    if flags["input_size"]:
        side = _number(flags["input_size"])
        if side is None or not 8 <= side <= 512:
            raise UsageError(f"--input-size {flags['input_size']!r} cannot be used: give pixels a side, 8 to 512.")
        settings["input_size"] = side
    if flags["from_scratch"] and flags["weights"]:
        raise UsageError("--weights and --from-scratch exclude each other: give one of them.")
    if flags["from_scratch"] or (not flags["weights"] and not may_download):
        return settings
    if flags["weights"] and not Path(flags["weights"]).expanduser().is_file():
        raise UsageError(f"--weights {flags['weights']}: there is no such file.")
    path = Path(flags["weights"]).expanduser().resolve() if flags["weights"] else downloaded_weights()
    check_weights(path)
    return {**settings, "weights": str(path), "weights_sha256": sha256(path)}


def _number(text: str | None) -> int | None:
    """A whole number; None if it is none, which the settings' own check reports."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def _data(flags: Flags, asked: _Asked | None, faults: list[str]) -> DataConfig | None:
    """What was typed; else the data of the found architecture, else those of the study."""
    typed = flags["data"] or flags["imbalance"] or flags["image_size"]
    if asked and asked.arch and not typed:
        return asked.arch[0].config.data.model_copy(update={"hold_out": _hold_out(flags, asked)})
    values = dict(flags)
    if asked:
        values["data"] = flags["data"] or asked.study.data
        values["imbalance"] = flags["imbalance"] or asked.study.imbalance
    config = data_config(values, faults)
    return config and config.model_copy(update={"hold_out": _hold_out(flags, asked)})


def _hold_out(flags: Flags, asked: _Asked | None) -> bool:
    """As typed, else as the study has it."""
    typed: bool | None = flags["hold_out"]
    return typed if typed is not None else asked is None or asked.study.hold_out


def _settled(
    member: Member, asked: _Asked, flags: Flags, task: Task, data: Dataset, source: DataConfig, faults: list[str]
) -> MemberConfig | None:  # fmt: skip
    """A member with its network for this task and its whole recipe; None if something is wrong, see ``faults``."""
    name = member.network or asked.network
    network: dict[str, Any] = {}
    base: dict[str, Any] = {}
    if asked.arch:
        run, trial_id = asked.arch
        network = {"space": run.search.space, "sample": run.trials[trial_id].sample}
        ours = {"name", "post_hoc_tau", *METHOD_FLAGS}  # methods are the study's matter
        base = run.search.recipe.model_dump(exclude=ours)
    elif name in HAND_NETS:
        found = attempt(lambda: hand_net(name, task), faults)
        if found is None:
            return None
        network = {"space": found[0].name, "sample": found[1]}
    else:
        kind = get_network(name)
        base = {**kind.recipe, **(kind.recipe_when_small if sum(data.counts["train"]) < SMALL else {})}
        network = {"network": name, "settings": _network_settings(name, asked, task)}
    typed = {flag: flags[flag] for flag in RECIPE_FLAGS if flags[flag] is not None}
    recipe = checked(Recipe, {**base, "name": member.name, **asked.study.recipe, **member.recipe, **typed}, faults)
    if recipe is None:
        return None
    faults += check_together(recipe, ())
    if not source.hold_out and (recipe.keep_epoch != "last" or recipe.patience is not None):
        faults.append(
            f"{member.name} chooses an epoch by validation images, and --train-on-all keeps none: leave it out, or "
            "choose the study long-tail, which keeps the last epoch."
        )
    published = member.published.get(round(source.imbalance_factor)) if name == "resnet32" else None
    return MemberConfig(name=member.name, label=member.label, recipe=recipe, published=published, **network)


def _network_settings(name: str, asked: _Asked, task: Task) -> dict[str, Any]:
    if name != "resnet18":
        return {}
    from baselines.networks.resnet18 import default_input_size

    return {"input_size": default_input_size(task.input_shape)} | asked.settings


def _counted(member: MemberConfig, task: Task) -> dict[str, Any]:
    """What a member's network costs and how it is called in tables."""
    if member.network:
        from baselines.counting import count

        network = FixedNetwork(member.network, member.settings)
        counted = count(network, task.input_shape, task.num_classes)
        text = get_network(member.network).text(member.settings)
        return {
            "cost": asdict(counted.cost), "trainable": counted.trainable, "text": text, "architecture": member.network
        }  # fmt: skip
    assert member.space
    space = get_space(member.space)
    cost = cost_of(space, member.sample, task)
    return {
        "cost": asdict(cost),
        "trainable": cost.params,
        "text": space.text(member.sample),
        "architecture": space.architecture_id(member.sample, task),
    }
