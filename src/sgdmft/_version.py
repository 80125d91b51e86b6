"""The version, of the installed package: `pyproject.toml` is the only place that states it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sgdmft")
except PackageNotFoundError:
    __version__ = "unknown"
