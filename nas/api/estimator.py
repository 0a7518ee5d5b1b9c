"""A search as a classifier of scikit-learn: ``fit`` searches, ``predict`` asks the network that it found."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y, validate_data

from budgets import LIMITS
from nas.api import carry_out, new_search, reopen
from nas.api.arrays import Array, Labelled, as_array, channels_last
from nas.api.features import SQUARE, Form
from nas.api.handles import Search
from nas.api.in_memory import data_config
from nas.api.in_process import carry_out_here, search_here
from nas.api.spaces import Size, budget_of
from nas.api.trained import TrainedNetwork
from nas.api.wording import in_python
from nas.arguments import raise_misfits
from nas.config import DataConfig, Recipe, SearchConfig, checked, raise_all
from nas.config.recipe import named_recipe
from nas.engine.confirmation import mean_score
from nas.engine.plan import plan_search
from nas.errors import attempt
from nas.files import scratch_folder
from nas.runs import SearchRun, as_search
from nas.runs.folders import read_run
from nas.runs.log import LOG_NAME
from nas.units import listed

if TYPE_CHECKING:
    from torch import nn

LEAST = 5  # images of a class: 2 to train on, 1 for each other split
Floats = npt.NDArray[np.float64]


class NASClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Searches for a small network within a budget, and classifies images by it.

    X is images, (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels, or rows of their pixels (N, F), which are
    square unless ``image_shape`` says (H, W) or (H, W, 3). With ``image_shape="square"`` rows may be any numbers: each
    is laid on a square, which is not what networks for images are good at. Images become 256 levels: uint8 stays as it
    is, 0 to 1 is stretched, and other numbers are stretched from what ``fit`` saw, and cut off beyond it (``levels_``).

    ``max_params`` and the other limits are those of ``nasctl search``, numbers or "150k", and so are ``trials``,
    ``strategy``, ``recipe``, ``epochs``, ``objective``, ``confirm``, ``image_size``, ``device`` and ``time_limit``
    (seconds). There is no ``sample_weight``: uneven classes are the matter of ``recipe``.
    ``workers`` is how many processes train in parallel, by default one on each core; 0: none, trials run in this
    process, which suits small data and searches within other programs' processes. ``random_state``: equal numbers give
    equal networks with ``workers`` 0 or 1.

    ``runs`` is the folder where the run is kept, under the name ``run``, so that it can be looked at, resumed and
    exported; None: it is removed after ``fit``, which keeps the weights in memory. Where there is a run of this name,
    with the same parameters and images, ``fit`` resumes it, and has nothing left to do if it is done.

    ``fit`` divides X by itself: most is for training, 15 % (10 % from 10,000 images on) choose the epoch, as many rank
    networks. One image of each class is kept for the test that ends every run, which says next to nothing: keep images
    of your own to test by. Hence every class needs at least 5 images.

    After ``fit`` there are ``classes_``, ``n_features_in_`` (values of an image), ``image_shape_``, ``levels_``,
    ``best_sample_``, ``best_cost_``, ``best_score_`` (the objective where networks are ranked, 0 to 1), ``run_folder_``
    (None without ``runs``), ``run_`` and ``module_``.

    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = nas.NASClassifier("vgg", max_params="20k", trials=1, epochs=2, confirm=0, workers=0, random_state=0)
    >>> clf.fit(X[:500], y[:500]).predict_proba(X[500:]).shape
    (1297, 10)
    >>> clf.best_cost_.params <= 20_000
    True
    """

    def __init__(
        self,
        space: str = "vgg",
        *,
        max_params: Size | None = "60k",
        max_macs: Size | None = None,
        max_bytes: Size | None = None,
        max_peak_memory: Size | None = None,
        min_params: Size | None = None,
        trials: int = 12,
        strategy: str | None = None,
        recipe: str | Recipe = "auto",
        epochs: int | None = None,
        objective: str = "balanced_accuracy",
        confirm: int = 2,
        image_shape: tuple[int, ...] | str | None = None,
        image_size: int | tuple[int, int] | None = None,
        workers: int | None = None,
        device: str | None = None,
        time_limit: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        runs: str | Path | None = None,
        run: str | None = None,
    ) -> None:
        self.space = space
        self.max_params = max_params
        self.max_macs = max_macs
        self.max_bytes = max_bytes
        self.max_peak_memory = max_peak_memory
        self.min_params = min_params
        self.trials = trials
        self.strategy = strategy
        self.recipe = recipe
        self.epochs = epochs
        self.objective = objective
        self.confirm = confirm
        self.image_shape = image_shape
        self.image_size = image_size
        self.workers = workers
        self.device = device
        self.time_limit = time_limit
        self.random_state = random_state
        self.runs = runs
        self.run = run

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @in_python()
    def fit(self, X: Any, y: Any) -> Self:
        """Search for a network and train it. X: (N, ...) as the class says; y: (N,), labels of any kind.

        ValueError for what cannot be used, in X, y or the parameters (a UsageError of nasctl is one too); SearchStopped
        if no trial finishes.
        """
        images, labels = self._to_fit(X, y)
        classes, numbers = np.unique(labels, return_inverse=True)
        config = self._config()
        form = Form.of(images, self.image_shape, config.data.size)
        _check_classes(classes, np.bincount(numbers))
        given = Labelled(form.pixels(images), numbers, tuple(map(str, classes)))
        with self._places() as (runs, cache):
            data = data_config(with_least_test(given), cache_dir=cache, allow_duplicates=True)
            run = self._searched(config.model_copy(update={"data": data}), runs)
            network = TrainedNetwork.of(run)
        self.classes_, self._form, self._network = classes, form, network
        self.image_shape_, self.levels_ = form.shape, form.levels
        self.best_sample_, self.best_cost_, self.best_score_ = network.sample, network.cost, _score(run)
        self.run_folder_ = None if self.runs is None else run.folder.absolute()
        return self

    def decision_function(self, X: Any) -> Floats:
        """The network's logits, (N, classes); of two classes the second's less the first's, (N,)."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities (N, classes) in the order of ``classes_``; rows sum to 1. Calibrated on images that the network
        was not trained on, as those of an exported network are."""
        scores = self._logits(X)
        return np.asarray(softmax(scores / self._network.temperature, axis=1))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest class of each image, (N,)."""
        likeliest = self._logits(X).argmax(axis=1)
        return np.asarray(self.classes_[likeliest])

    @property
    def run_(self) -> Search:
        """The run, read from ``run_folder_``."""
        folder: Path | None = getattr(self, "run_folder_", None)
        if folder is None:
            raise AttributeError('There is no run: runs are kept only by NASClassifier(runs="runs").fit(X, y).')
        return Search(as_search(read_run(folder)))

    @property
    def module_(self) -> nn.Module:
        """A copy of the network, a torch module in evaluation mode: see ``nas.api.trained.TrainedNetwork.module``."""
        check_is_fitted(self)
        return self._network.module()

    def _logits(self, X: Any) -> Floats:
        check_is_fitted(self)
        pixels = self._form.pixels(self._to_predict(X))
        channels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
        return self._network.logits(channels)

    def _to_fit(self, X: Any, y: Any) -> tuple[Array, Array]:
        """X as finite numbers and y as labels; from now on ``n_features_in_`` is how many values an image has."""
        X = as_array(X, "X") if hasattr(X, "detach") else X
        if _num_dimensions(X) <= 2 or y is None:
            images, labels = validate_data(self, X, y)
        else:
            images, labels = check_X_y(X, y, allow_nd=True, ensure_2d=False, estimator=self)
            self.n_features_in_ = math.prod(images.shape[1:])
        check_classification_targets(labels)
        return images, labels

    def _to_predict(self, X: Any) -> Array:
        """X as finite numbers, of images as they were at ``fit``."""
        X = as_array(X, "X") if hasattr(X, "detach") else X
        if _num_dimensions(X) <= 2:
            return np.asarray(validate_data(self, X, reset=False))
        images: Array = check_array(X, allow_nd=True, ensure_2d=False, estimator=self)
        shape, known = channels_last(images[:1]).shape[1:], self._form.shape
        if shape != known:
            raise ValueError(f"Images in X are {shape}, and NASClassifier was fitted with images of {known}.")
        return images

    def _searched(self, config: SearchConfig, runs: Path) -> SearchRun:
        """The run, carried out; resumed where there is one of this name, of the same search on the same images."""
        here, known = self.workers == 0, _known(config, runs / self.run) if self.run else None
        if known is not None and known.is_done:
            return known
        if known is None and here:
            return search_here(config, name=self.run, runs=runs, curves=self.runs is not None)
        opened = new_search(config, name=self.run, runs=runs) if known is None else reopen(known)
        return carry_out_here(opened) if here else as_search(carry_out(opened))

    def _config(self) -> SearchConfig:
        """The settings that the parameters mean, but for the data. UsageError with every error."""
        raise_misfits(NASClassifier.__init__, self.get_params())
        errors: list[str] = []
        limits = {name: size for name in LIMITS if (size := getattr(self, name)) is not None}
        budget = attempt(lambda: budget_of(limits), errors)
        recipe = attempt(lambda: named_recipe(self.recipe) if isinstance(self.recipe, str) else self.recipe, errors)
        told: dict[str, object] = {} if self.epochs is None else {"epochs": self.epochs}
        if self.image_shape == SQUARE:
            told |= {"crop_padding": 0, "flip": False}  # no image: places mean something
        given = recipe.model_dump(exclude_unset=True) if recipe else {}
        data = checked(DataConfig, {"image_size": self.image_size}, errors)
        values = {
            name: getattr(self, name) for name in ("space", "trials", "strategy", "objective", "confirm", "device")
        }
        values |= {
            "time_limit": self.time_limit,
            "workers": 1 if self.workers == 0 else self.workers,
            "seed": self._seed(),
            "prune": True,
        }
        values |= {"budget": budget or {}, "data": data or {}, "recipe": checked(Recipe, given | told, errors) or {}}
        config = checked(SearchConfig, values | {"floor": False}, errors)
        raise_all(errors)
        assert config is not None
        return config

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    @contextmanager
    def _places(self) -> Iterator[tuple[Path, str | None]]:
        """Folders of the run and of its images."""
        if self.runs is not None:
            yield Path(self.runs), None
            return
        with scratch_folder("nasctl-fit") as folder:
            yield folder / "runs", str(folder / "cache")


def _known(config: SearchConfig, folder: Path) -> SearchRun | None:
    if not (folder / LOG_NAME).exists():
        return None
    run, plan = read_run(folder), plan_search(config)
    is_same = run.config == plan.config and run.facts.data_key == plan.data_key
    return run if isinstance(run, SearchRun) and is_same else None


def _num_dimensions(X: Any) -> int:
    """Also of what only becomes an array, and of tables and sparse matrices, which do not."""
    return int(X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim)


def _check_classes(classes: Array, counts: npt.NDArray[np.int64]) -> None:
    if len(classes) < 2:
        raise ValueError(f"NASClassifier needs at least 2 classes, and y has one class: {classes.tolist()[0]!r}.")
    if counts.min() < LEAST:
        pairs = zip(classes.tolist(), counts.tolist(), strict=True)
        few = listed((f"{name!r} ({count})" for name, count in pairs if count < LEAST), 10)
        raise ValueError(
            f"NASClassifier needs at least {LEAST} images of every class, 2 to train on and 1 each to choose the "
            f"epoch, to rank networks and for the run's test; y has fewer of: {few}."
        )


def with_least_test(given: Labelled) -> dict[str, Labelled]:
    """One image of each class as the test split, which every run reads at its end; the others to search by."""
    order = np.random.default_rng(0).permutation(len(given.labels))
    _, first = np.unique(given.labels[order], return_index=True)
    test = np.zeros(len(order), dtype=bool)
    test[order[first]] = True
    images, labels, classes = given
    return {
        "train": Labelled(images[~test], labels[~test], classes),
        "test": Labelled(images[test], labels[test], classes),
    }


def _score(run: SearchRun) -> float:
    assert run.winner is not None
    trial = run.trials[run.winner.trial]
    return mean_score(run, trial) if run.confirmations(trial.id) else float(trial.score(run.config.objective) or 0.0)
