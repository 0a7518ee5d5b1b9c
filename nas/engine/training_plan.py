"""Plan of ``nasctl train``: a study of one network, and of its teacher where that is trained for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from baselines.registry import SMALL, get_network
from budgets.cost import params_of
from nas.config import Recipe, StudyConfig, auto_recipe, checked, raise_all
from nas.config.auto_recipe import AUTO, default_epochs, images_per_epoch, meets_imbalance
from nas.config.objectives import resolve_objective
from nas.config.recipe import named_recipe
from nas.config.recipe_rules import (
    LOSS_SETTINGS,
    METHOD_FLAGS,
    answers_evenly,
    check_together,
    described_name,
    unknown_names,
)
from nas.config.run import MemberConfig
from nas.config.teaching import TeacherConfig, Teaching
from nas.config.training_request import (
    AUTO_TEACHER,
    PRESETS,
    STUDY,
    TEACHER,
    TRAINED,
    OneNetwork,
    Preset,
    TrainingRequest,
)
from nas.data import Dataset, open_data
from nas.engine.architectures import Architecture, load_architecture
from nas.engine.learning_rate import found_rate, tested_as
from nas.engine.plan import mirrored_or_not
from nas.engine.single_images import frozen_errors, single_image_errors
from nas.engine.study_plan import RUN_SETTINGS, StudyPlan, asked_data, facts_of
from nas.engine.verification import verification_errors
from nas.errors import RunError, UsageError, attempt
from nas.executors import plan_slots
from nas.plugins.installed import load_installed
from nas.plugins.loading import with_loaded
from nas.runs import SearchRun, StudyRun, TrialRecord
from nas.runs.hints import RUNS
from nas.runs.named import best_first, find_member, has_part, load_named
from search_spaces import Sample, Task, get_space

TEACHER_TIMES = 4  # the parameters of a teacher that is trained for a network, at most
METHODS = {"post_hoc_tau", "prior_tau", *METHOD_FLAGS}


@dataclass(frozen=True)
class Asked:
    """Network to train: a fixed one, or an architecture with what is known of it."""

    network: str | None = None
    arch: Architecture | None = None
    recipe: Recipe | None = None  # what it was trained with, or its kind usually is; None: the data decide
    again: bool = False  # the recipe is that of a training by ``nasctl train``, and holds as it is
    settings: dict[str, int | str] = field(default_factory=dict)

    def as_member(self, name: str, recipe: Recipe) -> MemberConfig:
        """A member of a study that trains it."""
        return MemberConfig(
            name=name, label=recipe.name, recipe=recipe, network=self.network, settings=self.settings,
            space=self.arch.space if self.arch else None, sample=self.arch.sample if self.arch else {},
        )  # fmt: skip


def plan_training(
    request: TrainingRequest, *, runs: Path = RUNS, progress: Callable[[int, int], None] | None = None
) -> StudyPlan:
    """Everything about a long training. UsageError with every error found in the request and the data.

    ``runs``: where the runs lie that ``request.arch`` and ``request.teacher`` may name.
    """
    errors: list[str] = []
    load_installed()
    asked = attempt(lambda: asked_network(request, runs), errors)
    slots = attempt(
        lambda: plan_slots(request.device, request.workers, request.trials_per_gpu, request.threads), errors
    )
    of_run = asked.arch.objective if asked and asked.arch and "objective" not in request.model_fields_set else None
    objective = attempt(lambda: resolve_objective(of_run or request.objective), errors)
    hold_out = request.hold_out is not False
    found = asked.arch.data if asked and asked.arch else None
    data_config = asked_data(request.data, found, {}, errors, hold_out=hold_out)
    data = attempt(lambda: open_data(data_config, progress=progress), errors) if data_config else None
    raise_all(errors)
    assert asked and slots and objective and data and data_config
    task = Task(data.input_shape, len(data.classes))
    recipe, sentence = _recipe(request, asked, data, objective, errors)
    raise_all(errors)
    assert recipe
    member = asked.as_member(TRAINED, recipe)
    errors += [*single_image_errors(member, task), *frozen_errors([member], task)]
    errors += verification_errors(objective, data)
    members = attempt(lambda: _with_teachers(request, member, task, runs), errors)
    raise_all(errors)
    assert members
    recipes, why_mirrored = mirrored_or_not([each.recipe for each in members], data, data_config)
    if recipe.rate_to_find:  # tested as it is trained: mirrored or not
        tested, words = found_rate(tested_as(asked.as_member(TRAINED, recipes[-1]), task, data_config), slots[0])
        rate = {"learning_rate": tested.learning_rate, "rate_to_find": False}
        recipes = [each.model_copy(update=rate) for each in recipes]
        sentence = f"{sentence}; {words}"
    config = StudyConfig(
        study=STUDY,
        sentence=sentence,
        data=data_config,
        members=tuple(m.model_copy(update={"recipe": r}) for m, r in zip(members, recipes, strict=True)),
        seeds=request.seeds,
        plugins=with_loaded(asked.arch.plugins if asked.arch else ()),
        **request.model_dump(include=set(RUN_SETTINGS)) | {"objective": objective},
    )
    return StudyPlan(config, facts_of(config, data, slots, why_mirrored), slots)


def asked_network(request: OneNetwork, runs: Path, command: str = "train") -> Asked:
    """Network that was asked for. UsageError if none was named, or several."""
    given = {"a run": request.arch, "--space": request.space, "--network": request.network}
    named = [name for name, value in given.items() if value]
    if len(named) != 1:
        said = f"{' and '.join(named)} say" if named else "nothing says"
        raise UsageError(
            f"{said[0].upper()}{said[1:]} which network is trained: give one of nasctl {command} RUN, --arch FILE, "
            "--space NAME (its canonical network) and --network NAME."
        )
    if request.network:
        kind = get_network(request.network)
        if kind.weights is not None:
            other = "" if kind.name == "resnet18" else f" --network {kind.name}"
            raise UsageError(
                f"--network {kind.name} is trained by baseline runs: nasctl baseline run losses{other} --members "
                "custom-ce."
            )
        recipe = checked(Recipe, {"name": request.network, **kind.recipe}, [])
        return Asked(network=request.network, recipe=recipe)
    if request.space:
        space = get_space(request.space)
        return Asked(arch=Architecture(space.name, dict(space.canonical)))
    assert request.arch
    arch = load_architecture(request.arch, runs)
    return Asked(arch=arch, recipe=arch.recipe, again=arch.study == STUDY)


def _recipe(
    request: TrainingRequest, asked: Asked, data: Dataset, objective: str, errors: list[str]
) -> tuple[Recipe | None, str]:
    """Recipe of the training, and that in a sentence. Errors go into ``errors``."""
    counts = list(map(int, data.counts["train"]))
    base, told = own_recipe(request, asked, counts, objective)
    errors += unknown_names(checked(Recipe, base | told, []) or Recipe())
    preset = PRESETS[request.preset or "standard"]
    recipe = checked(Recipe, base | {"name": "?"} | told, errors)
    if recipe is None or errors:
        return None, ""
    sentence = "as it was trained"
    if not asked.again or request.preset:
        length = preset.times * default_epochs(images_per_epoch(recipe, counts))
        methods = {} if request.recipe.name != AUTO else _methods(preset, recipe)
        recipe = checked(Recipe, base | {"name": "?", "epochs": length, **methods} | told, errors)
        sentence = preset.sentence
    if recipe is None:
        return None, ""
    if "epochs" in told:
        sentence = "for as many epochs as were asked for"
    errors += check_together(recipe, told)
    if request.hold_out is False:
        if "patience" in told:
            errors.append(
                "--patience stops by validation images, and --train-on-all trains on them: leave out one of the two."
            )
        if recipe.svm_head:
            errors.append(
                "--svm-head chooses its cost by validation images, and --train-on-all trains on them: leave out one of "
                "the two."
            )
        recipe = recipe.model_copy(update={"keep_epoch": "last", "patience": None})
    return recipe.model_copy(update={"name": described_name(recipe)}), f"one network trained {sentence}"


def _methods(preset: Preset, recipe: Recipe) -> dict[str, object]:
    """The parts of a preset that a recipe can have: not every loss smooths labels, and metric losses mix no images."""
    smooths = recipe.classification_weight and "label_smoothing" in LOSS_SETTINGS.get(recipe.loss, ())
    without = set() if smooths else {"label_smoothing"}
    without |= {"mixing"} if recipe.metric_loss != "none" else set()
    return {name: value for name, value in preset.recipe.items() if name not in without}


def own_recipe(
    request: OneNetwork, asked: Asked, counts: list[int], objective: str
) -> tuple[dict[str, object], dict[str, object]]:
    """The recipe before a preset, and what was told to be otherwise, by the names of its fields."""
    told = request.recipe.model_dump(include=request.recipe.model_fields_set)
    is_named = told.pop("name", AUTO) != AUTO
    base = _base(asked, counts, objective)
    if is_named or meets_imbalance(Recipe(**{name: told[name] for name in told if name in METHODS})):
        kept = METHODS if is_named else {"prior_tau", "post_hoc_tau"}  # what was told is instead of it
        base |= {name: Recipe.model_fields[name].default for name in kept}
    if "learning_rate" in told:
        base["rate_to_find"] = False
    return base, told


def _base(asked: Asked, counts: list[int], objective: str) -> dict[str, object]:
    """The recipe before a preset and what was told."""
    if asked.network:
        kind = get_network(asked.network)
        small = {} if sum(counts) >= SMALL else kind.recipe_when_small
        return {
            **auto_recipe.resolve_recipe(named_recipe(AUTO), counts, objective)[0].model_dump(),
            **kind.recipe,
            **small,
        }
    if asked.recipe is None:
        return auto_recipe.resolve_recipe(named_recipe(AUTO), counts, objective)[0].model_dump()
    left_open = {"flip"} if asked.arch and asked.arch.mirrored_by_data else set()  # these data decide anew
    return asked.recipe.model_dump(exclude=left_open)


def _with_teachers(request: TrainingRequest, member: MemberConfig, task: Task, runs: Path) -> list[MemberConfig]:
    """The member with what it learns from, and its teacher before it if that is to be trained for it."""
    if request.teacher is None:
        if {"teacher_weight", "temperature"} & request.model_fields_set:
            raise UsageError("--teacher-weight and --temperature belong to --teacher, which is missing: give it too.")
        return [member]
    if not member.recipe.classification_weight:
        raise UsageError(
            "--teacher teaches the last layer, which --classification-weight 0 does not train: leave out one of them."
        )
    how = Teaching(weight=request.teacher_weight, temperature=request.temperature)
    if request.teacher != AUTO_TEACHER:
        teachers = _named_teachers(request.teacher, task, runs)
        return [member.model_copy(update={"teaching": how.model_copy(update={"teachers": teachers})})]
    if member.space is None:
        raise UsageError(
            "--teacher auto is a larger network of the same space, and a fixed network has none: name a trained one, "
            "--teacher RUN:TRIAL."
        )
    sample = larger(member.space, member.sample, task)
    teacher = member.model_copy(update={"name": TEACHER, "label": "teacher", "sample": sample})
    return [teacher, member.model_copy(update={"teaching": how.model_copy(update={"member": TEACHER})})]


def larger(space_name: str, sample: Sample, task: Task, times: int = TEACHER_TIMES) -> Sample:
    """The architecture ``sample`` made larger, to at most ``times`` its parameters: the smallest step of any choice is
    taken again and again, so that all of it grows. UsageError if nothing in the space is larger."""
    space = get_space(space_name)
    row = space.encode(sample)
    most = times * int(params_of(space, row[None], task)[0])
    now = most // times
    while True:
        steps = np.repeat(row[None], 2 * len(row), axis=0)
        steps[range(len(steps)), [place // 2 for place in range(len(steps))]] += np.tile([1, -1], len(row))
        sizes = np.array([len(choice.values) for choice in space.choices])
        steps = steps[((steps >= 0) & (steps < sizes)).all(axis=1)]
        params = params_of(space, steps, task) if len(steps) else np.empty(0, np.int64)
        fit = (params > now) & (params <= most)
        if not fit.any():
            break
        params, steps = params[fit], steps[fit]
        row, now = steps[params.argmin()], int(params.min())
    if now == most // times:
        raise UsageError(
            f"--teacher auto: the space {space_name} has no larger network near this one. Name a trained one: "
            "--teacher RUN:TRIAL."
        )
    return space.decode(row)


def _named_teachers(text: str, task: Task, runs: Path) -> tuple[TeacherConfig, ...]:
    """The trained networks that ``--teacher`` names. UsageError with a sentence for each that cannot teach."""
    errors: list[str] = []
    teachers: list[TeacherConfig] = []
    for name in [part for each in text.split(",") if (part := each.strip())]:
        teachers += attempt(partial(_teachers_of, name, task, runs), errors) or ()
    raise_all(errors)
    if not teachers:
        raise UsageError("--teacher names nothing: give RUN:TRIAL, RUN, or auto.")
    return tuple(teachers)


def _teachers_of(name: str, task: Task, runs: Path) -> list[TeacherConfig]:
    try:
        named = load_named(name, runs)
        run, part = named.run, named.part
        if part is None and has_part(run, name):
            part = name
        if isinstance(run, SearchRun):
            trials = [run.trial(part)] if part else [*run.stage("confirm"), *run.best(run.config.keep)]
        else:
            found, training = find_member(run, part)
            trials = [training] if training else best_first(run, found.name)[:1]
    except RunError as error:
        raise UsageError(f"--teacher {name}: {error}") from error
    run.use_plugins()
    if (tuple(run.facts.input_shape), len(run.facts.classes)) != (task.input_shape, task.num_classes):
        raise UsageError(
            f"--teacher {name} takes {'x'.join(map(str, run.facts.input_shape))} images of {len(run.facts.classes)} "
            f"classes, and these data are {'x'.join(map(str, task.input_shape))} images of {task.num_classes}: name a "
            "network that was trained on such data."
        )
    kept = [trial for trial in trials if trial.status == "finished" and run.weights(trial.id).is_file()]
    if not kept:
        raise UsageError(f"--teacher {name}: its weights were not kept; 'nasctl trials' shows what there is.")
    return [_teacher(run, trial) for trial in kept]


def _teacher(run: SearchRun | StudyRun, trial: TrialRecord) -> TeacherConfig:
    from baselines.imagenet import sha256  # imports torch

    member = run.config.member(trial.of) if isinstance(run, StudyRun) else None
    recipe, weights = run.recipe(trial.id), run.weights(trial.id).resolve()
    return TeacherConfig(
        name=f"{run.name}:{trial.id}",
        network=member.network if member else None,
        settings=member.settings if member else {},
        space=run.config.space if isinstance(run, SearchRun) else member.space if member else None,
        sample=trial.sample,
        weights=str(weights),
        sha256=sha256(weights),
        even=answers_evenly(recipe),
        macs=trial.cost.macs,
        data_key=run.facts.data_key,
    )
