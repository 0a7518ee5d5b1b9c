"""Which data, and how it is split: one frozen record that crosses processes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class DataConfig(BaseModel):
    """A data set as the user names it, and what is done to it before training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = "digits"  # "digits", a folder, an .npz file, or a torchvision set by name
    imbalance: float | None = Field(None, ge=1)  # None: 20 for digits, 1 (as it is) for everything else
    image_size: int | None = Field(None, ge=8, le=224)  # None: the images' own if all agree, else an error
    fit: Literal["resize", "pad"] = "resize"
    skip_broken: bool = False
    split_seed: int = 0  # splits do not depend on the search's seed: runs compare on the same images
    cache_dir: str | None = None  # None: the user's cache folder

    @property
    def imbalance_factor(self) -> float:
        """Images of the largest class for one of the smallest, in the training split."""
        return self.imbalance or (20.0 if self.source == "digits" else 1.0)
