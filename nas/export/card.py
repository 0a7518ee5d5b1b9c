"""``model.json`` of an exported folder as others may have written it: checked before anything is done by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nas.errors import UsageError
from nas.files import read_file

_Side = Annotated[int, Field(gt=0, le=1 << 14)]
_Number = Annotated[float, Field(ge=-1e6, le=1e6)]
_Divisor = Annotated[float, Field(ge=1e-9, le=1e6)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    """Required part of a card; an export may say more."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Normalization(_Part):
    mean: list[_Number]
    std: list[_Divisor]


class _Preprocessing(_Part):
    fit: Literal["resize", "pad"]
    levels: tuple[float, float] | None


class _Input(_Part):
    shape: tuple[Any, Literal[1, 3], _Side, _Side]
    normalization: _Normalization
    preprocessing: _Preprocessing


class _Calibration(_Part):
    temperature: _Divisor


class _Output(_Part):
    name: Literal["logits", "embedding"] = "logits"
    calibration: _Calibration | None
    test_flip: bool = False
    prior: Literal["train", "uniform"]
    train_frequencies: list[_Share] | None = None


class _Verification(_Part):
    fars: list[_Share]
    thresholds: list[_Number]
    tars: list[_Share]
    different: int


class _Card(_Part):
    classes: list[str] = Field(min_length=1)
    input: _Input
    output: _Output
    objective: str | None = None
    verification: _Verification | None = None


def is_embedder(card: dict[str, Any]) -> bool:
    """True if the network was exported without the layer that gives the classes."""
    return bool(card["output"].get("name") == "embedding")


def read_card(folder: Path) -> dict[str, Any]:
    """The description in an exported folder. UsageError names the field that is missing, or has a value that no export
    writes."""
    try:
        content = read_file(folder / "model.json")
        card: dict[str, Any] = json.loads(content)
        is_older = "preprocessing" not in card["input"] or "calibration" not in card["output"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UsageError(f"{folder} is damaged, or not an exported network: {error}. Export it again.") from error
    if is_older:
        raise UsageError(
            f"{folder} was written by an older nasctl and does not say how images are prepared: export it again."
        )
    try:
        known = _Card.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "whole"
        raise UsageError(f"{folder}/model.json is damaged at {place}: {first['msg']}. Export it again.") from error
    normal, frequencies = known.input.normalization, known.output.train_frequencies
    if not len(normal.mean) == len(normal.std) == known.input.shape[1]:
        raise UsageError(
            f"{folder}/model.json is damaged: its normalization has another number of channels. Export it again."
        )
    if len(set(known.classes)) < len(known.classes) or (frequencies and len(frequencies) != len(known.classes)):
        raise UsageError(f"{folder}/model.json is damaged: its classes were changed. Export it again.")
    pairs = known.verification
    if pairs and not len(pairs.fars) == len(pairs.thresholds) == len(pairs.tars):
        raise UsageError(f"{folder}/model.json is damaged: its thresholds were changed. Export it again.")
    return card
