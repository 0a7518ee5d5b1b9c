"""``nasctl train``: one network trained for long, and what came of it."""

from __future__ import annotations

from nas import api
from nas.api.settings import Flags, resolve_training
from nas.cli.commands.search import study_command
from nas.cli.plugin_flags import use_plugins
from nas.cli.settings_file import NO_FILE, SettingsFile
from nas.config.training_request import TrainingRequest
from nas.errors import UsageError


def train_command(flags: Flags, file: SettingsFile = NO_FILE) -> None:
    """Check everything, create the run, train the network with every seed, report. ``file``: where some of the flags
    come from."""

    def resolve() -> TrainingRequest:
        use_plugins(flags["plugin"], trusting=flags["trust_plugin"])
        named = flags.pop("name", None)
        if named is not None and flags["arch"] is not None:
            raise UsageError(f"{named} and --arch both say which network is trained: leave out one of them.")
        return resolve_training({**flags, "arch": named or flags["arch"]}, file.errors)

    study_command(flags, file, resolve, api.new_training, api.preview_training)
