"""Subject of an analysis: a trained network, of a run or of an exported folder, and its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from baselines import FixedNetwork
from nas.analysis.answers import Network
from nas.config import DataConfig, Recipe
from nas.data import Dataset, open_data
from nas.data.dataset import Preprocessing, SplitName
from nas.errors import UsageError, attempt
from nas.export.card import read_card
from nas.export.from_run import chosen, request_of
from nas.export.trained import trained_model
from nas.runs import Run
from nas.runs.hints import RUNS
from nas.trials.weights import load_into, tensors_in
from search_spaces import get_space


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A network with its weights, and whose it is: of ``run`` and ``trial``, or of the exported folder ``model``."""

    network: Network
    text: str  # what it is, in a line
    run: Run | None = None
    trial: str | None = None
    model: Path | None = None
    classes: Sequence[str]
    preprocessing: Preprocessing
    train_counts: Sequence[int] | None = None
    recipe: Recipe | None = None
    dataset: Dataset | None = None  # what it was trained on, if that can be had
    no_dataset: str = ""  # why there is none, a sentence without its full stop
    only_test: bool = False  # the other splits were trained on, so test alone can judge it

    @property
    def data_config(self) -> DataConfig | None:
        """Data settings of the images of ``dataset``."""
        return None if self.run is None else self.run.config.data

    def own(self, split: SplitName) -> Dataset:
        """The run's data, one split of which is asked for. UsageError if that cannot judge the network."""
        if self.dataset is None or (self.only_test and split != "test"):
            cure = "Its test split can: --split test. Or give" if self.only_test else "Give"
            raise UsageError(f"{self.no_dataset}. {cure} other labelled images: --data FOLDER.")
        return self.dataset


def subject_of(name: str, runs: Path = RUNS) -> Subject:
    """The network that ``name`` says: RUN for its winner, or the best so far, RUN:TRIAL, STUDY:MEMBER (its best seed),
    STUDY:MEMBER.SEED, or an exported folder. UsageError or RunError if there is none, or its weights are not there."""
    from nas.export.predict import is_exported, named_or_folder  # and onnxruntime with it

    if is_exported(name):
        return of_folder(Path(name))
    named = named_or_folder(name, runs)
    return of_run(named.run, named.part)


def of_run(run: Run, part: str | None) -> Subject:
    """A training of a run; for None its winner, or the best so far. RunError if its weights were not kept."""
    trial = chosen(run, part)
    request = request_of(run, trial.id, Path(), whole=True)
    recipe, dataset = run.recipe(trial.id), request.dataset
    only_test = request.leaked or request.trained_on_all
    if only_test:
        found = attempt(lambda: open_data(run.config.data), [])
        dataset = found if found is not None and run.was_made_with(found) else None
    return Subject(
        network=Network(trained_model(request), request.mean, request.std, request.num_classes, recipe.test_flip),
        text=request.text,
        run=run,
        trial=trial.id,
        classes=request.classes,
        preprocessing=request.preprocessing,
        train_counts=request.train_counts or None,
        recipe=recipe,
        dataset=dataset,
        no_dataset=request.no_dataset,
        only_test=only_test and dataset is not None,
    )


def of_folder(folder: Path) -> Subject:
    """The network of an exported folder, built by its description and not by the code in the folder. UsageError if the
    folder is damaged, or its space or network is not known here."""
    try:
        card = read_card(folder)
        how = card["input"]["preprocessing"]
        _, channels, height, width = card["input"]["shape"]
        levels = tuple(how["levels"]) if how["levels"] else None
        preprocessing = Preprocessing.of((channels, height, width), how["fit"], levels)
        classes, normal = card["classes"], card["input"]["normalization"]
        mean, std = list(map(float, normal["mean"])), list(map(float, normal["std"]))
        kind = card["space"], card["sample"], card["network"]
        test_flip = bool(card["output"].get("test_flip"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{folder} is damaged, or not an exported network: {error}. Export it again.") from error
    try:
        module = _built(*kind, preprocessing.shape, len(classes))
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, MemoryError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{folder} is damaged: its network cannot be built ({error}). Export it again.") from error
    try:
        load_into(module, tensors_in(folder / "weights.safetensors"))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise UsageError(f"The weights in {folder} cannot be used: {error}. Export it again.") from error
    return Subject(
        network=Network(module.eval(), mean, std, len(classes), test_flip),
        text=str(card.get("architecture", "")),
        model=folder,
        classes=classes,
        preprocessing=preprocessing,
        no_dataset=f"{folder} is an exported folder, without the images that it was trained on",
    )


def _built(space: Any, sample: Any, network: Any, shape: tuple[int, int, int], num_classes: int) -> Any:
    if network is not None:
        return FixedNetwork(**network).construction(shape, num_classes).build()
    return get_space(str(space)).build(sample, shape, num_classes)
