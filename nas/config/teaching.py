"""Settings of distillation (Hinton et al. 2015): the teachers, and the weight and temperature of their answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class TeacherConfig(BaseModel):
    """A trained network, and where its weights are: the fixed ``network`` with its ``settings``, or the architecture
    ``sample`` of ``space``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # as people name it, RUN:TRIAL
    network: str | None = None
    settings: dict[str, Any] = {}
    space: str | None = None
    sample: dict[str, int | str] = {}
    weights: str  # a file
    sha256: str = ""  # of it; "": the run itself made it
    even: bool  # its answers count all classes alike, whatever their frequency
    macs: int
    data_key: str = ""  # of the images and splits that it was trained on; "": those of the run


class Teaching(BaseModel):
    """Teaching of a network beside its labels: the mean of what its ``teachers`` answer to the same pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teachers: tuple[TeacherConfig, ...] = ()
    member: str | None = None  # of the same study, in their place: its training with the same seed
    weight: float = Field(default=0.5, gt=0, le=1)  # share of the loss
    temperature: float = Field(default=2.0, gt=0)

    @property
    def text(self) -> str:
        """Who teaches."""
        return self.member or ", ".join(teacher.name for teacher in self.teachers)
