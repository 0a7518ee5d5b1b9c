"""The settings of a baseline run as TOML: what differs from its study.

What is written is planned again and compared with the log before it is handed over.
"""

from __future__ import annotations

import json

from baselines.studies import Study, get_study
from nas import __version__
from nas.api.settings import study_request
from nas.cli.declared import ORDER_OF_STUDY
from nas.cli.flags import in_order
from nas.cli.written_settings import Value, as_file, as_typed, differing, plugins_of, remark_on_repeating
from nas.config import StudyConfig, StudyRequest
from nas.config.recipe_rules import METHOD_FLAGS
from nas.config.run import MemberConfig
from nas.config.settings import default_of, settings_of, value_of, written
from nas.engine.imagenet_plan import with_weights
from nas.engine.study_plan import RECIPE_SETTINGS, RUN_SETTINGS, SEARCH_SETTINGS, plan_study
from nas.errors import RunError
from nas.runs import StudyRun

STUDY = settings_of(StudyRequest)


def study_text(run: StudyRun) -> str:
    """A file for ``nasctl baseline run --config`` that makes ``run`` again. UsageError if its data cannot be had to
    check that, RunError if flags cannot say how it was made."""
    study = get_study(run.config.study)
    found = _settings(run, study)
    parts = {flag: STUDY[flag].path[0] for flag in found}
    settings = {
        "study": study.name,
        **plugins_of(run.config),
        **{flag: found[flag] for flag in in_order(parts, ORDER_OF_STUDY.split())},
    }
    _check(run, settings)
    head = (
        f"The settings of the baseline run {run.name}, by nasctl {run.versions.get('nasctl', __version__)}.",
        "Settings that are not here are those of the study. To repeat the run: nasctl baseline run --config FILE",
    )
    return as_file(head, settings, remark_on_repeating(run.config))


def _settings(run: StudyRun, study: Study) -> dict[str, Value]:
    """By the names of flags."""
    config, found = run.config, dict[str, Value]()
    for flag, given in STUDY.items():
        if given.path[0] in (*RUN_SETTINGS, "data"):
            is_told = flag == "data" or value_of(given, config) != default_of(given, StudyRequest)
            if is_told and (value := written(given, config)) is not None:
                found[flag] = value
    for name in SEARCH_SETTINGS:
        if (value := getattr(config, name)) != StudyConfig.model_fields[name].default:
            found[name] = value
    members = {member.name: member for member in _members(config)}
    if members.keys() != {member.name for member in study.members}:
        found["members"] = tuple(member.name for member in study.members if member.name in members)
    found |= {} if config.data.hold_out == study.hold_out else {"hold_out": config.data.hold_out}
    found |= {} if config.seeds == study.seeds else {"seeds": config.seeds}
    for name in RECIPE_SETTINGS:
        own = {member.name for member in study.members if name in member.recipe}  # which flags leave as they are
        values = {getattr(member.recipe, name) for member in members.values() if member.name not in own}
        if len(values) == 1 and values.isdisjoint({None, *([1] if name == "select_every" else [])}):
            (found[name],) = values
    chosen = [members[each.name] for each in study.members if not each.network and each.name in members]
    found |= _imagenet(list(members.values()), study)
    return found | (_network(chosen, study, run) if chosen else {})


def _members(config: StudyConfig) -> list[MemberConfig]:
    """All that the run has or will have."""
    return [*config.members, *(member for search in config.searches for member in search.members)]


def _network(members: list[MemberConfig], study: Study, run: StudyRun) -> dict[str, Value]:
    """Settings that name the network of members that name none."""
    member = members[0]
    if member.network is None:
        training = {"training": shared} if (shared := _training(members, run)) else {}
        return {"arch": json.dumps({"space": member.space, "sample": member.sample, **training})}
    return {} if member.network == study.network else {"network": member.network}


def _imagenet(members: list[MemberConfig], study: Study) -> dict[str, Value]:
    """Settings of networks that may have ImageNet weights."""
    of_imagenet = dict[str, dict[str, int | str]]()
    for each in members:  # of a network that some members begin with weights, and others without
        if each.network in with_weights():
            of_imagenet[each.network] = of_imagenet.get(each.network, {}) | each.settings
    if not of_imagenet:
        return {}
    found: dict[str, Value] = {
        name: value for settings in of_imagenet.values() for name, value in settings.items() if name == "input_size"
    }
    files = {name: settings["weights"] for name, settings in of_imagenet.items() if "weights" in settings}
    if not files:
        return found if study.from_scratch else {**found, "from_scratch": True}
    one = len(set(files.values())) == 1 and files.keys() == of_imagenet.keys()
    named = ",".join(f"{name}={file}" for name, file in files.items())
    return {**found, "weights": next(iter(files.values())) if one else named}


def _training(members: list[MemberConfig], run: StudyRun) -> dict[str, object]:
    """Values common to the recipes that are no method and have no flag: they came with the architecture of a run."""
    first, *others = (member.recipe for member in members)
    elsewhere = {*METHOD_FLAGS, "name", "epochs", "batch_size"} | ({"flip"} if run.facts.mirroring else set())
    return {
        name: value
        for name, value in first.model_dump(mode="json", exclude_defaults=True).items()
        if name not in elsewhere and all(getattr(other, name) == getattr(first, name) for other in others)
    }


def _check(run: StudyRun, settings: dict[str, Value]) -> None:
    """RunError if the settings, typed as flags, would not plan the run."""
    run.use_plugins()
    plan = plan_study(study_request(as_typed(settings, StudyRequest)), runs=run.folder.parent)
    own = [member for member in run.config.members if member.chosen != "found"]
    other = differing(_by_member(run.config, own), _by_member(plan.config, list(plan.config.members)))
    if other:
        raise RunError(
            f"Run {run.name!r} was not made by flags alone: no flag sets {', '.join(other)}. Repeat the "
            "command that made it:"
            f" nasctl baseline run {run.config.study} --seed {run.config.seed} ..."
        )


def _by_member(config: StudyConfig, members: list[MemberConfig]) -> dict[str, object]:
    """The settings of a study, those of its members by their names."""
    return config.model_dump(exclude={"members", "plugins"}) | {member.name: member.model_dump() for member in members}
