"""Base class of objects that are used in ``with`` and closed at its end."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """``with`` gives the object itself, and closes it however that ends."""

    def close(self) -> None:
        """Let go of what is held. May be called again."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
