"""netCDF files: everything comes back, and a damaged or foreign file is refused in a sentence."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

import sgdmft as sg
from sgdmft.errors import DamagedFile, InvalidArgument
from sgdmft.run import files, provenance


def trajectory(model=None, algorithm=None, steps=5):
    time = np.arange(steps + 1)
    quantities = {name: np.linspace(1.0, 0.0, steps + 1) for name in ("magnetization", "loss", "norm")}
    return sg.Trajectory.build(
        kind="theory",
        model=model or sg.GaussianLeastSquares(alpha=2.5),
        algorithm=algorithm or sg.SGD(learning_rate=0.1, batch_fraction=0.3),
        start=sg.Start(magnetization=0.2),
        time=time,
        quantities=quantities,
        two_time=time,
        two_time_quantities={"correlation": np.eye(steps + 1), "response": np.tri(steps + 1, k=-1)},
    )


def test_everything_comes_back(tmp_path):
    run = trajectory()
    run.save(tmp_path / "run.nc")
    again = sg.load(tmp_path / "run.nc")
    xr.testing.assert_identical(again.dataset, run.dataset)
    assert (again.model, again.algorithm, again.start) == (run.model, run.algorithm, run.start)
    assert "parameters" in run.dataset.attrs, "saving leaves the trajectory as it was"


def test_a_long_schedule_comes_back_as_an_array(tmp_path):
    steps = 20_000
    run = trajectory(algorithm=sg.GradientDescent(learning_rate=lambda t: 0.1 / (1 + t)), steps=steps // 100)
    run.save(tmp_path / "function.nc")
    rates = sg.load(tmp_path / "function.nc").algorithm.rates(200).learning_rate
    np.testing.assert_array_equal(rates, 0.1 / np.arange(1, 201))
    table = sg.GradientDescent(learning_rate=np.geomspace(0.1, 0.01, steps))  # beyond the 64 kB of an attribute
    trajectory(algorithm=table).save(tmp_path / "table.nc")
    assert sg.load(tmp_path / "table.nc").algorithm == table


def test_a_model_of_ones_own_is_left_out(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Mine:
        secret: object = dataclasses.field(default_factory=object)

    run = trajectory(model=Mine())
    run.save(tmp_path / "mine.nc")
    again = sg.load(tmp_path / "mine.nc")
    assert again.model is None
    assert again.algorithm == run.algorithm


def test_existing_and_unwritable_files_are_refused(tmp_path):
    run = trajectory()
    run.save(tmp_path / "run.nc")
    with pytest.raises(InvalidArgument, match="exists already"):
        run.save(tmp_path / "run.nc")
    run.save(tmp_path / "run.nc", overwrite=True)
    with pytest.raises(InvalidArgument, match="cannot be written"):
        run.save(tmp_path / "none" / "run.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc"], "no temporary file is left"


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "foreign", "missing", "folder"])
def test_damaged_files_are_refused(damage, tmp_path):
    path = tmp_path / "run.nc"
    trajectory().save(path)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "noise":
        path.write_bytes(bytes(range(256)) * 8)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        files.write_dataset(path, xr.Dataset({"a": ("x", [1.0])}))
    elif damage == "missing":
        path.unlink()
    else:
        path = tmp_path
    with pytest.raises(DamagedFile, match=r"`.*`"):
        sg.load(path)


def test_a_run_is_finished_where_there_is_no_git(monkeypatch):
    def missing(*arguments, **options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(provenance.subprocess, "run", missing)
    provenance._fixed.cache_clear()
    try:
        assert provenance.provenance()["revision"] == "unknown"
    finally:
        provenance._fixed.cache_clear()


def test_lists_and_long_texts_among_the_attributes_come_back(tmp_path):
    run = trajectory()
    run.dataset.attrs |= {"recovery_step": np.array([7]), "many": np.arange(20_000), "long": "α" * 70_000}
    run.save(tmp_path / "run.nc")
    xr.testing.assert_identical(sg.load(tmp_path / "run.nc").dataset, run.dataset)


@pytest.mark.parametrize("entry", ["kind", "status", "time", "parameters", "order"])
def test_a_missing_or_spoilt_entry_is_a_sentence(entry, tmp_path):
    run = trajectory()
    if entry == "time":
        run.dataset.attrs |= {"time": "gone"}
        content = run.dataset.drop_vars("time")
    elif entry == "order":
        content = run.dataset.assign_coords(time=run.dataset["time"].copy(data=run.time[::-1]))
    else:
        content = run.dataset.assign_attrs({entry: "{["})
    files.write_dataset(tmp_path / "run.nc", content)
    with pytest.raises(DamagedFile, match="no complete trajectory"):
        sg.load(tmp_path / "run.nc")
