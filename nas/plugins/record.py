"""Record of a plug-in in a run."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Plugin(BaseModel):
    """A file by its absolute path and the SHA-256 of its bytes, or a module by its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    sha256: str | None = None  # None: a module, which is installed software

    @property
    def is_file(self) -> bool:
        """True if it is a file of the user's, not an installed module."""
        return self.sha256 is not None
