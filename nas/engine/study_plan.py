"""Plan of a study: data opened, every network resolved, counted and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baselines import FixedNetwork, get_network
from baselines.registry import NETWORKS, SMALL
from baselines.studies import STUDIES, Member, Study, get_study
from budgets import cost_of
from nas.config import DataConfig, Recipe, StudyConfig, StudyRequest, auto_recipe, checked, raise_all
from nas.config.data import FOREIGN
from nas.config.objectives import resolve_objective
from nas.config.recipe import named_recipe
from nas.config.recipe_rules import METHOD_FLAGS, check_together
from nas.config.run import MemberConfig
from nas.data import Dataset, open_data
from nas.data.dataset import counts_by_split
from nas.engine.architectures import NO_IMAGES, Architecture, load_architecture
from nas.engine.cells import chosen_members
from nas.engine.imagenet_plan import imagenet_settings, misplaced
from nas.engine.learning_rate import found_rate, tested_as
from nas.engine.plan import mirrored_or_not
from nas.engine.rivals import random_rival, searches_of
from nas.engine.single_images import GIVE_MORE, frozen_errors, single_image_errors
from nas.engine.verification import verification_errors
from nas.errors import attempt
from nas.executors import WorkerSlot, plan_slots
from nas.executors.devices import recorded_threads
from nas.plugins.installed import load_installed
from nas.plugins.loading import with_loaded
from nas.runs.events import MemberFacts, StudyFacts
from nas.runs.hints import RUNS
from search_spaces import Sample, Task, get_space

RUN_SETTINGS = (
    "workers", "trials_per_gpu", "device", "threads", "seed", "objective", "profile", "report", "time_limit",
    "trial_timeout", "keep", "as_published",
)  # fmt: skip
SEARCH_SETTINGS = ("search_images", "search_trials")
RECIPE_SETTINGS = ("epochs", "batch_size", "select_every")
_OTHER_DATA = {
    "source",
    "columns",
    "group",
    "imbalance",
    "image_size",
    "colours",
    "test_per_class",
}  # asked for, these mean other data


@dataclass(frozen=True)
class StudyPlan:
    """Plan of a study before the first training: everything is checked, and nothing is written yet."""

    config: StudyConfig
    facts: StudyFacts
    slots: list[WorkerSlot]


@dataclass(frozen=True)
class _Asked:
    """Typed request, as far as it could be read."""

    study: Study
    members: tuple[Member, ...]
    network: str  # of members that name none
    arch: Architecture | None  # instead of it
    settings: dict[str, dict[str, int | str]]  # of networks that may have ImageNet weights, by their names


@dataclass(frozen=True)
class _Network:
    """Network of a member: a fixed ``network`` with its settings, or the architecture ``sample`` of ``space``."""

    network: str | None = None
    settings: dict[str, int | str] = field(default_factory=dict)
    space: str | None = None
    sample: Sample = field(default_factory=dict)
    recipe: Mapping[str, object] = field(default_factory=dict)  # what it is trained with unless a study says otherwise


def plan_study(
    request: StudyRequest,
    *,
    runs: Path = RUNS,
    fetch: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> StudyPlan:
    """Everything about a baseline run. UsageError with every error found in the request and the data.

    ``runs``: where the run lies that ``request.arch`` may name. Without ``fetch`` ImageNet's weights are not
    downloaded: the plan then has where they will be, and no SHA-256 of them.
    """
    errors: list[str] = []
    load_installed()
    asked = _asked(request, runs, errors, fetch=fetch)
    slots = attempt(
        lambda: plan_slots(request.device, request.workers, request.trials_per_gpu, request.threads), errors
    )
    objective = attempt(lambda: resolve_objective(request.objective), errors)
    data_settings = _data(request, asked, errors)
    data = attempt(lambda: open_data(data_settings, progress=progress), errors) if data_settings else None
    errors += _as_published_errors(request, asked, data)
    errors += verification_errors(objective, data) if objective and data else []
    raise_all(errors)
    assert asked and slots and data and data_settings
    task = Task(data.input_shape, len(data.classes))
    members = [_resolved(member, asked, request, task, data, data_settings, errors) for member in asked.members]
    raise_all(errors)
    resolved = [member for member in members if member]
    for member in resolved:
        cure = GIVE_MORE if request.batch_size else f"Leave out {member.name} (--members)"
        errors += single_image_errors(member, task, cure) if member.chosen != "found" else []
    errors += frozen_errors(resolved, task)
    raise_all(errors)
    recipes, why_mirrored = mirrored_or_not([member.recipe for member in resolved], data, data_settings)
    resolved = [m.model_copy(update={"recipe": recipe}) for m, recipe in zip(resolved, recipes, strict=True)]
    if fetch:
        resolved = _with_rates(resolved, task, data_settings, slots[0])
    study = asked.study
    config = StudyConfig(
        study=study.name,
        sentence=study.sentence,
        data=data_settings,
        members=tuple(member for member in resolved if member.chosen != "found"),
        seeds=request.seeds or study.seeds,
        searches=searches_of(resolved, asked.members, task),
        score_train=study.score_train,
        score_before=study.score_before,
        plugins=with_loaded(asked.arch.plugins if asked.arch else ()),
        **request.model_dump(include=set(RUN_SETTINGS)) | {"objective": objective},
        **request.model_dump(include=set(SEARCH_SETTINGS), exclude_none=True),
    )
    return StudyPlan(config, facts_of(config, data, slots, why_mirrored), slots)


def _with_rates(members: list[MemberConfig], task: Task, data: DataConfig, slot: WorkerSlot) -> list[MemberConfig]:
    """Members that leave their learning rate to a range test, with what it found: one test for each network."""
    found: dict[str, Recipe] = {}
    resolved = []
    for member in members:
        if member.recipe.rate_to_find:
            key = f"{member.network} {member.space} {member.sample}"
            if key not in found:
                tested = member
                if member.chosen == "found":  # by a search that is still to come: by the network its space is named for
                    canonical = dict(get_space(str(member.space)).canonical)
                    tested = member.model_copy(update={"sample": canonical})
                found[key] = found_rate(tested_as(tested, task, data), slot)[0]
            rate = {"learning_rate": found[key].learning_rate, "rate_to_find": False}
            member = member.model_copy(update={"recipe": member.recipe.model_copy(update=rate)})
        resolved.append(member)
    return resolved


def facts_of(config: StudyConfig, data: Dataset, slots: Sequence[WorkerSlot], why_mirrored: str) -> StudyFacts:
    """Facts that a run records of its data and its networks."""
    task = Task(data.input_shape, len(data.classes))
    return StudyFacts(
        input_shape=task.input_shape,
        classes=tuple(data.classes),
        counts=counts_by_split(data),
        data_name=data.name,
        data_key=data.key,
        data_remarks=data.remarks,
        threads=recorded_threads(slots),
        mirroring=why_mirrored,
        levels=data.levels,
        members=_counted(config.members, task),
    )


def _asked(request: StudyRequest, runs: Path, errors: list[str], *, fetch: bool) -> _Asked | None:
    study = attempt(lambda: get_study(request.study), errors)
    if study is None:
        return None
    network = request.network or study.network
    attempt(lambda: get_network(network), errors)
    members = attempt(lambda: chosen_members(study, request), errors) or ()
    if request.network and request.arch:
        errors.append("--network and --arch both say what is trained: give one of them.")
    if (request.network or request.arch) and study.members[0].network:
        errors.append(f"{study.name} has its own networks: leave out --network and --arch.")
    found = request.arch
    arch = attempt(lambda: load_architecture(found, runs), errors) if found else None
    networks = set[str]() if request.arch else {member.network or network for member in members or study.members}
    errors += misplaced(request, networks, of_grid=study.is_grid)
    begun = {member.network or network for member in members if member.pretrained is not False}
    may_download = fetch and not errors
    able = {name: name in begun for name in sorted(networks) if name in NETWORKS and NETWORKS[name].weights}
    settings = attempt(lambda: imagenet_settings(request, study, able, fetch=may_download), errors)
    return _Asked(study, members, network, arch, settings or {})


def _data(request: StudyRequest, asked: _Asked | None, errors: list[str]) -> DataConfig | None:
    """Data that were asked for; else those of the run that found the architecture, else those of the study."""
    hold_out = request.hold_out if request.hold_out is not None else asked is None or asked.study.hold_out
    of_study: dict[str, object] = {}
    if asked:
        study = asked.study
        of_study = {"source": study.data, "imbalance": study.imbalance, "test_per_class": study.test_per_class}
    found = asked.arch.data if asked and asked.arch else None
    return asked_data(request.data, found, of_study, errors, hold_out=hold_out)


def asked_data(
    asked: DataConfig, found: DataConfig | None, otherwise: Mapping[str, object], errors: list[str], *, hold_out: bool
) -> DataConfig | None:
    """Data that were ``asked`` for; else those of the run that ``found`` the architecture, else those ``otherwise``."""
    asked_for = asked.model_dump(include=asked.model_fields_set)
    if found and found.source == FOREIGN:
        found = None
        if "source" not in asked_for:
            errors.append(NO_IMAGES)
            return None
    usual = {name: field.default for name, field in DataConfig.model_fields.items()}
    usual |= {"source": found.source} if found else {}
    changes = {name for name, value in asked_for.items() if value != usual[name]}
    if found and not changes:
        return found.model_copy(update={"hold_out": hold_out})
    if found and not _OTHER_DATA & changes:
        otherwise = found.model_dump()
        asked_for = {name: asked_for[name] for name in changes}
    return checked(DataConfig, {**otherwise, **asked_for, "hold_out": hold_out}, errors)


def _as_published_errors(request: StudyRequest, asked: _Asked | None, data: Dataset | None) -> list[str]:
    """Errors of members that cannot be oversampled before these data are split."""
    errors: list[str] = []
    if not request.as_published:
        return errors
    if asked and not any(map(_oversamples, asked.members or asked.study.members)):
        able = [member.name for member in asked.study.members if _oversamples(member)]
        names = [study.name for study in STUDIES.values() if any(map(_oversamples, study.members))]
        cure = f"add {' or '.join(able)} to --members" if able else f"choose the study {' or '.join(names)}"
        errors.append(f"--as-published is about oversampling, and no member here does that: leave it out, or {cure}.")
    if request.hold_out is False:
        errors.append(
            "--as-published splits off validation images, and --train-on-all keeps none: leave out one of the two."
        )
    if data and data.grouped_by:
        errors.append(
            "--as-published splits after oversampling, when an image may be made from several groups, and "
            f"groups by {data.grouped_by} are to stay together:"
            " leave out --as-published, or the groups (of a table's column: --columns group=)."
        )
    return errors


def _oversamples(member: Member) -> bool:
    return str(member.recipe.get("oversampling", "none")) != "none"


def _resolved(
    member: Member, asked: _Asked, request: StudyRequest, task: Task, data: Dataset, source: DataConfig,
    errors: list[str],
) -> MemberConfig | None:  # fmt: skip
    """A member with its network for this task and its whole recipe; None if something is wrong, see ``errors``."""
    name = member.network or asked.network
    is_large = sum(data.counts["train"]) >= SMALL
    chosen = _network(member, asked, request, task, data)
    typed = request.model_dump(include=set(RECIPE_SETTINGS), exclude_none=True)
    lengths = member.recipe_when_large if is_large and not asked.arch else {}
    values = {**chosen.recipe, "name": member.name, **asked.study.recipe, **lengths, **typed, **member.recipe}
    recipe = checked(Recipe, values, errors)
    if recipe is None:
        return None
    errors += check_together(recipe, ())
    if not source.hold_out and (recipe.keep_epoch != "last" or recipe.patience is not None or recipe.svm_head):
        chosen_by_them = "the cost of an SVM" if recipe.svm_head else "an epoch"
        errors.append(
            f"{member.name} chooses {chosen_by_them} by validation images, and --train-on-all, the default of "
            "long-tail, holds none out. Add --hold-out"
            ", or train --network resnet32, which keeps the last epoch."
        )
    rival = None
    if member.rival == "random":
        rival = attempt(lambda: random_rival(member, task, request.seed), errors)
    published = (
        member.published.get(round(source.imbalance_factor))
        if name == asked.study.published_of and not asked.arch
        else None
    )
    split_last = request.as_published and recipe.oversampling != "none"
    return MemberConfig(
        name=member.name,
        label=member.label + (", split afterwards" if split_last else ""),
        recipe=recipe,
        network=None if member.rival else chosen.network,
        settings=chosen.settings,
        space=member.space or chosen.space,
        sample=chosen.sample if rival is None else rival,
        chosen=member.rival,
        beside=member.beside,
        published=published,
        reported={} if asked.arch or (member.network is None and name != "resnet18") else dict(member.reported),
    )


def _network(member: Member, asked: _Asked, request: StudyRequest, task: Task, data: Dataset) -> _Network:
    """The network of ``member`` for this task, or the given architecture in its place."""
    name = member.network or asked.network
    counts = list(map(int, data.counts["train"]))
    if asked.arch:
        return _Network(space=asked.arch.space, sample=asked.arch.sample, recipe=_recipe_of(asked.arch, counts))
    kind = get_network(name)
    recipe = {**kind.recipe, **({} if sum(counts) >= SMALL else kind.recipe_when_small)}
    return _Network(network=name, settings=_network_settings(name, member, asked, task), recipe=recipe)


def _recipe_of(arch: Architecture, counts: list[int]) -> dict[str, object]:
    """Recipe of an architecture but for methods, which are the study's matter: as in the run that found it, else as
    long as suits ``counts``, the training images of each class."""
    if arch.recipe is None:
        lengths, _ = auto_recipe.resolve_recipe(named_recipe(auto_recipe.AUTO), counts, "")
        return lengths.model_dump(include={"epochs", "batch_size"})
    ours = {"name", "post_hoc_tau", "prior_tau", *METHOD_FLAGS}
    ours |= {"flip"} if arch.mirrored_by_data else set()  # these data decide anew
    return arch.recipe.model_dump(exclude=ours)


def _network_settings(name: str, member: Member, asked: _Asked, task: Task) -> dict[str, int | str]:
    weights = get_network(name).weights
    if weights is None:
        return {}
    from baselines.networks.resnet18 import default_input_size

    side = max(default_input_size(task.input_shape), weights.least_side)
    size: dict[str, int | str] = {"input_size": side} if weights.resized else {}
    given = asked.settings.get(name, {})
    if member.pretrained is False:
        given = {setting: value for setting, value in given.items() if setting == "input_size"}
    return size | given


def _counted(members: Sequence[MemberConfig], task: Task) -> dict[str, MemberFacts]:
    """Facts of each member; each network is counted once."""
    known, facts = dict[str, MemberFacts](), dict[str, MemberFacts]()
    for member in members:
        key = repr((member.network, member.settings, member.space, member.sample, member.recipe.freeze))
        if key not in known:
            known[key] = counted(member, task)
        facts[member.name] = known[key]
    return facts


def counted(member: MemberConfig, task: Task) -> MemberFacts:
    """Cost of a member's network, and its name in tables."""
    if member.network:
        from baselines.counting import count

        network = FixedNetwork(member.network, member.settings)
        found = count(network, task.input_shape, task.num_classes, member.recipe.freeze)
        text = get_network(member.network).text(member.settings)
        return MemberFacts(found.cost, found.trainable, text, member.network)
    assert member.space
    space = get_space(member.space)
    cost = cost_of(space, member.sample, task)
    return MemberFacts(cost, cost.params, space.text(member.sample, task), space.architecture_id(member.sample, task))
