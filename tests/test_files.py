"""Results are written whole or not at all."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sgdmft
from sgdmft.run import files

SOURCES = Path(sgdmft.__file__).parent


class Unwritable:
    """A dataset whose writing stops half-way."""

    def to_netcdf(self, path, engine):
        Path(path).write_text("half")
        raise OSError("no space left")


def test_a_file_is_replaced_at_the_end(tmp_path):
    target = tmp_path / "result.toml"
    files.write(target, "α = 1\n")
    files.write(target, "α = 2\n")
    assert target.read_text(encoding="utf-8") == "α = 2\n"
    files.write_dataset(tmp_path / "result.nc", xr.Dataset({"a": ("x", np.arange(3.0))}))
    assert xr.load_dataset(tmp_path / "result.nc", engine="h5netcdf")["a"].values.tolist() == [0.0, 1.0, 2.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.nc", "result.toml"]


def test_a_failing_write_leaves_what_was_there(tmp_path):
    target = tmp_path / "result.nc"
    target.write_text("before")
    with pytest.raises(OSError, match="no space"):
        files.write_dataset(target, Unwritable())
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["result.nc"]


def test_nothing_is_written_past_it():
    """Every write in the package goes to the temporary `part` of `replacing`, or to a stream in memory."""
    write = re.compile(r"[^\n]*\.(?:write_text|write_bytes|to_netcdf|savefig)\([^\n]*")
    lines = [line for path in SOURCES.rglob("*.py") for line in write.findall(path.read_text(encoding="utf-8"))]
    assert len(lines) >= 4
    assert [line for line in lines if not re.search(r"\bpart\b|\bstream\b", line)] == []
