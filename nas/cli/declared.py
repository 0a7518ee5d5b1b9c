"""Settings that each command takes, and their order in --help. Models are imported when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.config.settings import Given

_DATA = "data data.* drop_small_classes keep_small_classes ignore_val"
_TRAINING = "recipe epochs batch_size learning_rate optimizer schedule weight_decay patience recipe.*"
_MACHINE = "workers trials_per_gpu device threads"
ORDER_OF_SEARCH = (
    f"space fix choices budget.* {_DATA} strategy guide first learn_from trials supernet_epochs penalty "
    "alpha_learning_rate candidates supernet.* stop_when search_patience time_limit trial_timeout objective confirm "
    "confirm_epochs train "
    "prune no_floor "
    f"{_TRAINING} {_MACHINE} precision seed keep * run config profile no_report runs dry_run quiet json"
)
ORDER_OF_RESUME = (
    f"name run trials stop_when search_patience time_limit trial_timeout {_MACHINE} * profile runs quiet json"
)
ORDER_OF_SPACE = f"name arch fix choices budget.* {_DATA} {_TRAINING} {_MACHINE} * no_timing runs json"
ORDER_OF_DATA = "path * drop_small_classes keep_small_classes ignore_val plot oversample write json"
ORDER_OF_EVALUATE = "model run data * split picture prior int8 runs json"
ORDER_OF_ANALYZE = "model run data * split tsne layers out runs json"
ORDER_OF_STUDY = (
    f"study members sample shard network arch weights from_scratch input_size {_DATA} imbalance hold_out as_published "
    f"seeds keep epochs batch_size select_every search_images search_trials objective seed {_MACHINE} time_limit "
    "trial_timeout * run config profile no_report runs dry_run quiet json"
)
ORDER_OF_TRAINING = (
    f"name preset seeds teacher teacher_weight temperature hold_out arch space network {_DATA} {_TRAINING} "
    f"objective seed keep {_MACHINE} time_limit trial_timeout * run plugin trust_plugin config profile no_report "
    "runs dry_run quiet json"
)
ORDER_OF_RATES = (
    f"name arch space network {_DATA} {_TRAINING} objective seed device threads * out plugin trust_plugin runs json"
)
_NOT_OF_RATES = {  # what only a whole training has
    "learning_rate", "epochs", "patience", "schedule", "warmup", "cycle_peak", "cycle_start", "cycle_end",
    "cycle_shape", "decay", "restart_epochs", "restart_factor", "ema", "test_flip", "deferred_reweighting",
    "svm_head", "select_every",
}  # fmt: skip
_OF_A_SPACE = {"fix", "choices", "recipe", "epochs", "batch_size", *_MACHINE.split()}


def of_a_search() -> dict[str, Given]:
    """For ``nasctl search``."""
    from nas.config import SearchConfig
    from nas.config.settings import settings_of

    return settings_of(SearchConfig)


def of_a_space() -> dict[str, Given]:
    """For ``nasctl space``: what a space is restricted by, the data, and how long trials of it train."""
    return {
        flag: given
        for flag, given in of_a_search().items()
        if flag in _OF_A_SPACE or given.path[0] in ("budget", "data")
    }


def of_a_study() -> dict[str, Given]:
    """For ``nasctl baseline run``."""
    from nas.config import StudyRequest
    from nas.config.settings import settings_of

    return settings_of(StudyRequest)


def of_a_training() -> dict[str, Given]:
    """For ``nasctl train``."""
    from nas.config.settings import settings_of
    from nas.config.training_request import TrainingRequest

    return settings_of(TrainingRequest)


def of_rates() -> dict[str, Given]:
    """For ``nasctl lr-find``."""
    from nas.config.settings import settings_of
    from nas.config.training_request import RateRequest

    return {flag: given for flag, given in settings_of(RateRequest).items() if flag not in _NOT_OF_RATES}


def of_changes() -> dict[str, Given]:
    """For ``nasctl resume``."""
    from nas.config.run import Changes
    from nas.config.settings import settings_of

    return settings_of(Changes)


def of_data() -> dict[str, Given]:
    """For ``nasctl data``, beside the data themselves."""
    from nas.config import DataConfig
    from nas.config.settings import settings_of

    return {flag: given for flag, given in settings_of(DataConfig).items() if flag != "data"}


def of_labels() -> dict[str, Given]:
    """For ``nasctl evaluate``: which images of other data there are and which class they have."""
    return {flag: given for flag, given in of_data().items() if given.setting.is_about_labels}
