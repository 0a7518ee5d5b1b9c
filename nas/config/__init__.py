"""Settings of a run: frozen, validated once, every error with its cure. Reads no file, asks no device, loads no
torch."""

from nas.config.data import DataConfig
from nas.config.recipe import Recipe
from nas.config.run import SearchConfig, StudyConfig
from nas.config.study_request import StudyRequest
from nas.config.validation import checked, raise_all

__all__ = ["DataConfig", "Recipe", "SearchConfig", "StudyConfig", "StudyRequest", "checked", "raise_all"]
