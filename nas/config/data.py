"""Data settings and splits: one frozen record that crosses processes."""

from __future__ import annotations

import csv
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from nas.config.settings import Setting

ROLES = ("path", "label", "split", "group")  # what columns of a label file may hold
FOREIGN = "a training loop of your own"  # the source of runs whose trials another program trains
SMALLEST_SIDE, LARGEST_SIDE = 8, 224  # pixels that the search spaces take


class DataConfig(BaseModel):
    """A data set as the user names it, and what is done to it before training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[
        str,
        Setting(
            "Data set: digits, a folder, labels.csv, an .npz file, or cifar10... [default: digits]", "DATA", flag="data"
        ),
    ] = "digits"
    columns: Annotated[
        str | None,
        Setting(
            "Columns of a label file, as ROLE=COLUMN, or ROLE= for no such column: "
            "path=FILE,label=KIND,split=,group=PATIENT. [default: by name]",
            "PAIRS",
            is_about_labels=True,
        ),
    ] = None
    group: Annotated[
        str | None,
        Setting(
            "Keep each group of images in one split: a column of a label file, or a pattern on file names: "
            "'(patient\\d+)_'.",
            "COLUMN|REGEX",
        ),
    ] = None
    imbalance: Annotated[
        float | None,
        Setting("Make the training split long-tailed by this factor. [default: 20 for digits, else 1]", "F"),
    ] = Field(default=None, ge=1, allow_inf_nan=False)
    # One side, or (width, height). None: the images' own if all agree, else an error
    image_size: Annotated[
        int | tuple[int, int] | None,
        Setting(
            "Image size in pixels: 32, or width x height, 96x64. [default: that of the images]",
            "SIZE",
            write=lambda size: "x".join(map(str, size)) if isinstance(size, tuple) else size,
        ),
    ] = None
    fit: Annotated[
        Literal["resize", "pad"],
        Setting("How to bring images to --image-size: resize or pad. [default: resize]", "HOW"),
    ] = "resize"
    colours: Annotated[
        Literal["grey", "rgb"] | None,
        Setting("Convert images to one channel. [default: if all are grey]", flag="grey", means="grey"),
        Setting("Convert images to three channels. [default: unless all are grey]", flag="colour", means="rgb"),
    ] = None
    skip_broken: Annotated[bool, Setting("Skip images that cannot be read.")] = False
    allow_duplicates: Annotated[bool, Setting("Accept identical images in train and test, or in two classes.")] = False
    match: Annotated[  # of files and their paths below a folder
        str | None,
        Setting(
            "Use only files whose name or path matches: '*.jpg', or several separated by commas.",
            "PATTERN",
            is_about_labels=True,
        ),
    ] = None
    ignore: Annotated[
        str | None,
        Setting("Ignore files and folders whose name or path matches: '*_mask*'.", "PATTERN", is_about_labels=True),
    ] = None
    class_level: Annotated[
        int | Literal["leaf"] | None,
        Setting(
            "Depth of the class folders below the data folder, or below a split's folder: 1, 2...; or leaf: "
            "the folders that hold images."
            " [default: detected]",
            "N",
            is_about_labels=True,
        ),
    ] = None
    classes: Annotated[
        tuple[str, ...] | None, Setting("Use only these classes: a,b,c. [default: all]", "NAMES", is_about_labels=True)
    ] = None
    ignore_val: Annotated[
        bool, Setting("Ignore the data set's own validation images, and hold out some training images instead.")
    ] = False
    drop_small_classes: Annotated[bool, Setting("Drop classes with too few images for every split.")] = False
    keep_small_classes: Annotated[
        bool, Setting("Keep classes of 2 to 4 images: 2 of each train, and the others go to some of the splits.")
    ] = False
    min_per_class: Annotated[int | None, Setting("Drop classes with fewer than N training images.", "N")] = Field(
        default=None, ge=1
    )
    max_per_class: Annotated[  # chosen by split_seed
        int | None, Setting("Use at most N training images per class, chosen at random.", "N")
    ] = Field(default=None, ge=5)
    max_images: Annotated[
        int | None,
        Setting("Use at most N images, not counting test and held-out identities, stratified by class.", "N"),
    ] = Field(default=None, ge=10)
    verify_identities: Annotated[
        float | None,
        Setting(
            "Hold out this share of the classes for rank pairs of --objective verification_auc, and as many for test "
            "pairs: 0.2.",
            "SHARE",
        ),
    ] = Field(default=None, gt=0, lt=0.5)
    test_per_class: Annotated[
        int | None,
        Setting(
            "Set N test images per class aside, at most half of a class, where the set brings none. [default: 20 %]",
            "N",
        ),
    ] = Field(default=None, ge=1)
    split_seed: int = 0  # splits do not depend on the search's seed: runs compare on the same images
    # False: train on every training image, as benchmarks without a validation split do. The select and rank splits
    # then overlap with training: they show its course, and may choose nothing.
    hold_out: bool = True
    cache_dir: str | None = None  # None: the user's cache folder

    @field_validator("image_size", mode="before")
    @classmethod
    def _read_size(cls, size: object) -> int | tuple[int, int] | None:
        """32, "32", (96, 64) or "96x64", the width first; a square is a number."""
        if size is None:
            return None
        text = "x".join(map(str, size)) if isinstance(size, list | tuple) else str(size)
        found = re.fullmatch(r"(\d{1,3})(?:x(\d{1,3}))?", text.lower())
        width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (width, height)):
            raise PydanticCustomError(
                "image_size",
                "give one side, or width x height: 32 or 96x64, each from {least} to {most}",
                {"least": SMALLEST_SIDE, "most": LARGEST_SIDE},
            )
        return width if width == height else (width, height)

    @field_validator("columns")
    @classmethod
    def _names_roles(cls, columns: str | None) -> str | None:
        pairs = next(csv.reader([" ".join((columns or "").split("\n"))], skipinitialspace=True), [])
        roles = [pair.partition("=")[0].strip() for pair in pairs if "=" in pair]
        if len(roles) < len(pairs) or len(set(roles)) < len(roles) or not set(roles) <= set(ROLES):
            raise PydanticCustomError(
                "columns",
                "write ROLE=COLUMN pairs, with the roles path, label, split and group at most once each: "
                "path=FILE,label=KIND",
            )
        return columns

    @field_validator("class_level", mode="before")
    @classmethod
    def _read_level(cls, level: object) -> object:
        if level is None or level == "leaf" or (str(level).isdecimal() and int(str(level)) > 0):
            return level if level is None or level == "leaf" else int(str(level))
        raise PydanticCustomError("class_level", "give 1, 2, 3... or leaf")

    @field_validator("classes", mode="before")
    @classmethod
    def _read_classes(cls, names: object) -> object:
        """Names with commas between them, in a text; one that holds a comma stands in quotes."""
        if not isinstance(names, str):
            return tuple(names) if isinstance(names, list) else names  # a list: from a log, which is read strictly
        found = sorted(
            {name for row in csv.reader([names], skipinitialspace=True) for part in row if (name := part.strip())}
        )
        if not found:
            raise PydanticCustomError("classes", "give names of classes, separated by commas")
        return tuple(found)

    @field_validator("fit")
    @classmethod
    def _has_a_size_to_fit(cls, fit: str, info: ValidationInfo) -> str:
        if fit == "pad" and info.data.get("image_size", 0) is None:  # 0: it has an error of its own
            raise PydanticCustomError("fit_without_size", "add --image-size, the size to pad to")
        return fit

    @property
    def column_of(self) -> dict[str, str]:
        """The names of a label file's columns by what they hold; an empty name means that none does."""
        pairs = next(csv.reader([self.columns or ""], skipinitialspace=True), [])
        return {role.strip(): name.strip() for role, _, name in (pair.partition("=") for pair in pairs)}

    @property
    def selection(self) -> str:
        """Left-out parts of the source, in words that differ where splits do; "": nothing."""
        chosen = self.model_dump(
            include={
                "classes", "ignore_val", "drop_small_classes", "keep_small_classes", "min_per_class", "max_per_class",
                "max_images", "verify_identities",
            },
            exclude_defaults=True,
        )  # fmt: skip
        return repr(sorted(chosen.items())) if chosen else ""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that images are brought to; None: their own."""
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size

    @property
    def imbalance_factor(self) -> float:
        """Images of the largest class for one of the smallest, in the training split."""
        return self.imbalance or (20.0 if self.source == "digits" else 1.0)
