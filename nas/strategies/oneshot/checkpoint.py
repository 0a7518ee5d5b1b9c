"""The state of a supernet's training on the disk: one file of tensors, replaced after every epoch.

The epoch's record lies in it too: a kill between this file and the log loses neither.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nas.errors import RunError
from nas.files import write_atomically
from nas.runs import SearchRun
from nas.runs.events import SupernetEpoch, decode, encode
from nas.runs.hints import typed
from nas.strategies.oneshot.training import SupernetTraining
from nas.trials.weights import tensors_in

FOLDER, FILE = "supernet", "checkpoint.safetensors"
FORMAT = 2  # of the file; raise it when tensors change meaning


class Checkpoint:
    """The one checkpoint of a run."""

    def __init__(self, run: SearchRun) -> None:
        self._run = run
        self.path = run.folder / FOLDER / FILE
        self._settings = _settings(run)

    def save(self, training: SupernetTraining, record: SupernetEpoch) -> None:
        """Write the state after an epoch; on the disk, whole, when this returns. RunError if the disk refuses."""
        notes = {"format": str(FORMAT), "settings": self._settings, "record": encode(record)[1]}
        content = save(_tensors_of(training), notes)
        try:
            write_atomically(self.path, content, durable=True)  # a run folder that was removed stays removed
        except OSError as error:
            raise RunError(
                f"The checkpoint {self.path} could not be written ({error.strerror}). Earlier epochs are kept: "
                f"make room on the disk of {self._run.folder}, then: {typed('resume', self._run.folder)}"
            ) from error

    def load(self, training: SupernetTraining) -> SupernetEpoch | None:
        """Put ``training`` where the last saved epoch left it; that epoch's record, None if there is no file.

        RunError if the file is damaged or of other settings.
        """
        if not self.path.exists():
            return None
        again = "Remove it to train the supernet again, then: " + typed("resume", self._run.folder)
        try:
            with safe_open(self.path, framework="pt") as file:
                notes = file.metadata() or {}
            if (notes["format"], notes["settings"]) != (str(FORMAT), self._settings):
                raise RunError(f"The checkpoint {self.path} is of another search or version. {again}")
            record = decode(0, "supernet_epoch", notes["record"], None)
            assert isinstance(record, SupernetEpoch)
            _restore(training, tensors_in(self.path))
            return record
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError, MemoryError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"The checkpoint {self.path} cannot be read ({_line(error)}). {again}") from error

    def remove(self) -> None:
        """Nothing needs it any more. Not being able to remove it is no error."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


def _settings(run: SearchRun) -> str:
    """A hash of everything that decides a supernet's training. Limits of the search and devices do not."""
    config, facts = run.config, run.facts
    parts: dict[str, object] = {name: getattr(config, name).model_dump(mode="json") for name in ("recipe", "supernet")}
    parts["data"] = config.data.model_copy(update={"cache_dir": None}).model_dump(mode="json")  # which may move
    parts |= {name: getattr(config, name) for name in ("space", "strategy", "seed", "objective")}
    parts |= {name: getattr(facts, name) for name in ("data_key", "input_shape", "classes")}
    parts["budget"] = asdict(facts.budget)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tensors_of(training: SupernetTraining) -> dict[str, Tensor]:
    tensors = {f"supernet.{name}": tensor for name, tensor in training.supernet.state_dict().items()}
    tensors |= {f"choices.{name}": tensor for name, tensor in training.choices.state_dict().items()}
    for kind, optimizer in _optimizers(training).items():
        for index, entries in optimizer.state_dict()["state"].items():
            for name, tensor in entries.items():
                if tensor is not None:  # a momentum before its first step
                    tensors[f"{kind}.{index}.{name}"] = tensor
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _restore(training: SupernetTraining, tensors: dict[str, Tensor]) -> None:
    """RuntimeError, KeyError, IndexError or ValueError if they are not those of this supernet."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    training.supernet.load_state_dict(parts["supernet"])
    training.choices.load_state_dict(parts.get("choices", {}))
    for kind, optimizer in _optimizers(training).items():
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts.get(kind, {}).items():
            index, _, entry = name.partition(".")
            state.setdefault(int(index), {})[entry] = _laid_out_like(parameters[int(index)], tensor)
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A copy with the parameter's order of dimensions in memory, if it has its shape. A fused step walks through
    the memory of a weight and of its moments side by side, so that in another order they would be mixed up."""
    if tensor.shape != parameter.shape:
        return tensor.clone()
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def _optimizers(training: SupernetTraining) -> dict[str, torch.optim.Optimizer]:
    found = {"weights_optimizer": training.optimizer}
    return found | ({"alphas_optimizer": training.alpha_optimizer} if training.alpha_optimizer else {})


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
