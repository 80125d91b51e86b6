"""Errors of the package. Each message is a full sentence that says what was wrong, echoes the value and names the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgdmft.run.trajectory import Trajectory


class SgdmftError(Exception):
    """Base class of every error that the package raises on purpose."""


class InvalidArgument(SgdmftError, ValueError):
    """An argument lies outside its domain."""


class TooLarge(SgdmftError, MemoryError):
    """More memory is needed than the stated limit; `trajectory` holds what a run computed before it, or None."""

    def __init__(self, message: str, trajectory: Trajectory | None = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.trajectory), self.__dict__


class DamagedFile(SgdmftError, OSError):
    """A file is not a readable result of this package."""


class NotConverged(SgdmftError, ArithmeticError):
    """An iterative solver stopped before its tolerance; `value` holds the last iterate."""

    def __init__(self, message: str, value: object = None) -> None:
        super().__init__(message)
        self.value = value


class Diverged(SgdmftError, ArithmeticError):
    """The dynamics left the region of finite norm; `trajectory` holds what was computed before."""

    def __init__(self, message: str, trajectory: Trajectory) -> None:
        super().__init__(message)
        self.trajectory = trajectory

    def __reduce__(self) -> tuple[Any, ...]:  # Python's own would call `__init__` with the message alone
        return type(self), (*self.args, self.trajectory), self.__dict__


class FitRefused(SgdmftError, ArithmeticError):
    """The data do not determine what was asked for; `provisional` holds the fit all the same, or None."""

    def __init__(self, message: str, provisional: object = None) -> None:
        super().__init__(message)
        self.provisional = provisional


class Unchecked(UserWarning):
    """A file was read that has no digest to check it by."""


class Unsaved(UserWarning):
    """Something beside the result could not be written; the run goes on."""
