"""Results are written whole or not at all, and nothing damaged is read."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import sgdmft
from sgdmft.errors import DamagedFile, InvalidArgument, TooLarge, Unchecked
from sgdmft.run import files

SOURCES = Path(sgdmft.__file__).parent
TABLE = xr.Dataset({"a": ("x", np.arange(3.0))}, attrs={"note": "α"})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- writing -----------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_at_the_end(tmp_path):
    target = tmp_path / "result.toml"
    files.write(target, "α = 1\n")
    files.write(target, "α = 2\n")
    assert target.read_text(encoding="utf-8") == "α = 2\n"
    files.write_dataset(tmp_path / "result.nc", TABLE)
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "result.nc", engine="h5netcdf"), TABLE)
    assert names(tmp_path) == ["result.nc", "result.toml"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_failing_write_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "result.nc"
    target.write_text("before")
    expected = InvalidArgument if isinstance(error, OSError) else type(error)

    def fail():
        with files.replacing(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(expected):
        fail()
    assert target.read_text() == "before"
    assert names(tmp_path) == ["result.nc"]


FULL = """
import resource, sys
import numpy as np, xarray as xr
from sgdmft.run import files
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    files.write_dataset(sys.argv[1], xr.Dataset({"a": ("x", np.arange(10_000.0))}))
except files.InvalidArgument as error:
    print(error)
"""


def test_a_full_disk_is_a_sentence(tmp_path):
    """HDF5 ends the process with a segmentation fault where a disk fills under it."""
    target = tmp_path / "result.nc"
    files.write_dataset(target, TABLE)
    before = target.read_bytes()
    done = subprocess.run([sys.executable, "-c", FULL, target], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"The file `.*` cannot be written \(.*\)\. Make room, or .*\n", done.stdout)
    assert target.read_bytes() == before
    assert names(tmp_path) == ["result.nc"]


def test_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.toml", tmp_path / "link.toml"
    link.symlink_to(target)
    for content in ("one", "two"):
        files.write(link, content)
        assert link.is_symlink()
        assert target.read_text() == content
    assert names(tmp_path / "real") == ["a.toml"]
    files.remove(link)
    assert not target.exists()


def test_permissions_of_a_replaced_file_are_kept(tmp_path):
    target = tmp_path / "secret.toml"
    files.write(target, "one")
    usual = stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    assert usual == 0o666 & ~mask
    target.chmod(0o640)
    with files.replacing(target) as file:
        (part,) = tmp_path.glob(".*.part")
        assert stat.S_IMODE(part.stat().st_mode) == 0o600, "nobody looks in while it is written"
        file.write(b"two")
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("two", 0o640)


def test_names_may_be_as_long_as_the_file_system_takes(tmp_path):
    for name in ("n" * 255, "α" * 127, "n" * 254 + "m"):
        files.write(tmp_path / name, name)
        assert (tmp_path / name).read_text(encoding="utf-8") == name
    assert len(names(tmp_path)) == 3
    with pytest.raises(InvalidArgument, match="cannot be written"):
        files.write(tmp_path / ("n" * 256), "")


def test_what_a_killed_process_left_is_removed(tmp_path):
    target, other = tmp_path / "run.nc", tmp_path / "run.nc.bak"
    program = f"""
import os, signal
from sgdmft.run import files
with files.replacing({str(target)!r}) as file: os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    (left,) = names(tmp_path)
    files.write(other, "")
    assert left in names(tmp_path), "another file's is left alone"
    mine = files._part(target)
    alive = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-"))
    alive.touch()
    files.write(target, "")
    assert names(tmp_path) == sorted([alive.name, "run.nc", "run.nc.bak"]), "a living process still writes its own"
    os.utime(alive, (0, 0))
    files.write(target, "")
    assert names(tmp_path) == ["run.nc", "run.nc.bak"]


def test_a_device_is_written_to_and_stays_one(tmp_path):
    read, write = os.pipe()
    files.write(f"/dev/fd/{write}", "through a pipe")
    assert os.read(read, 100) == b"through a pipe"
    os.close(read)
    os.close(write)
    files.write(os.devnull, "gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(InvalidArgument, match="Is a directory"):
        files.write(tmp_path, "")


@pytest.mark.parametrize("number", ["EINVAL", "ENOTSUP", "EIO"])
def test_a_file_system_that_cannot_sync(tmp_path, monkeypatch, number):
    import errno

    def fsync(descriptor):
        raise OSError(getattr(errno, number), number)

    monkeypatch.setattr(os, "fsync", fsync)
    if number == "EIO":
        with pytest.raises(InvalidArgument, match="EIO"):
            files.write(tmp_path / "a", "text")
    else:
        files.write(tmp_path / "a", "text")
        assert names(tmp_path) == ["a"]


def test_nothing_is_written_past_it():
    """No module but `run/files.py` opens a file for writing, by whatever library; streams in memory are free."""
    ways = re.compile(
        r"\b(?:write_text|write_bytes|to_netcdf|savefig|save_figure|savetxt|to_csv|tofile|touch|dump|open|save|savez\w*)\("
    )
    free = re.compile(
        r"\bstream\b|\bfile, format=|def save\(|\.save\((?:output|target)|open_dataset|open\(\"rb\"\)|tempfile\.|os\.devnull"
    )
    found = {}
    for path in SOURCES.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if ways.search(line) and not free.search(line) and path.name != "files.py":
                found.setdefault(path.relative_to(SOURCES).as_posix(), []).append(line)
    assert found == {}


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(tmp_path):
    files.write_dataset(tmp_path / "a.nc", TABLE)
    return tmp_path / "a.nc"


def test_every_flipped_bit_and_every_cut_is_noticed(sealed):
    content = sealed.read_bytes()
    rng = np.random.default_rng(1)
    places = [*rng.integers(0, 8 * len(content), 150), *range(8 * (len(content) - 82), 8 * len(content))]
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        sealed.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"`.*a\.nc` is damaged"):
            files.read_dataset(sealed)
    for length in [*range(len(content) - 90, len(content) - 80), *range(len(content) - 79, len(content)), 0, 10]:
        sealed.write_bytes(content[:length])
        with pytest.raises(DamagedFile, match="damaged"):
            files.read_dataset(sealed)
    sealed.write_bytes(content[:-144] + bytes(64) + content[-80:])
    with pytest.raises(DamagedFile, match="digest"):
        files.read_dataset(sealed)


def test_a_file_without_digest_is_read_and_said_to_be_unchecked(sealed, tmp_path):
    xr.testing.assert_identical(files.read_dataset(sealed), TABLE)
    sealed.write_bytes(sealed.read_bytes()[:-80])
    with pytest.warns(Unchecked, match="no digest"):
        xr.testing.assert_identical(files.read_dataset(sealed), TABLE)
    TABLE.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.warns(Unchecked, match=r"foreign\.nc"):
        xr.testing.assert_identical(files.read_dataset(tmp_path / "foreign.nc"), TABLE)


def test_hdf5_drops_the_digest_of_what_it_changes(sealed):
    with h5py.File(sealed, "a") as file:
        file["a"][0] = 7.0
    with pytest.warns(Unchecked):
        assert files.read_dataset(sealed)["a"].values[0] == 7.0


def test_a_small_file_that_unfolds_to_much_is_refused(tmp_path):
    for name in ("x", "a"):  # xarray reads a coordinate as soon as the file is opened
        path = tmp_path / f"{name}.nc"
        with h5py.File(path, "w") as file:
            file.create_dataset(name, shape=(4 * 10**8,), chunks=(1 << 20,), dtype="f8")
        assert path.stat().st_size < 10_000
        with pytest.raises(TooLarge, match=r"needs 3\.2 GB .* `memory_limit`"):
            files.read_dataset(path)


def test_text_and_bytes_are_sealed_too(tmp_path):
    files.write(tmp_path / "a", "text", sealed=True)
    assert files.read(tmp_path / "a") == b"text"
    (tmp_path / "a").write_bytes(b"text")
    with pytest.raises(DamagedFile, match="digest is missing"):
        files.read(tmp_path / "a")
    with pytest.raises(DamagedFile, match="no file"):
        files.read(tmp_path / "b")
