"""`sgdmft threshold`, the report's section on recovery, and its pictures."""

import numpy as np
import pytest
import xarray as xr

import sgdmft as sg
from sgdmft import cli
from sgdmft.reports import recovery

TOML = """
steps = 500
[algorithm]
learning_rate = 0.1
[start]
magnetization = 0.05
[threshold]
batch_fractions = [1.0, 0.2]
points = 8
"""


@pytest.fixture
def call(tmp_path):
    file = tmp_path / "call.toml"
    file.write_text(TOML)
    return [str(file), "-o", str(tmp_path / "out.nc"), "--quiet"]


def test_command_answers_as_the_function(tmp_path, call):
    assert cli.main(["threshold", *call, "--magnetizations", "0.05", "0.03"]) == 0
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as file:
        table = file.load()
    assert table.batch_fraction.values.tolist() == [1.0, 1.0, 0.2, 0.2]
    assert table.magnetization.values.tolist() == [0.05, 0.03, 0.05, 0.03]
    start = sg.Start(magnetization=0.05)
    model, gd = sg.GaussianLeastSquares(alpha=1.0), sg.GradientDescent(0.1)
    expected = sg.recovery_threshold(model, gd, start=start, steps=500, points=8)
    assert table.threshold.values[0] == expected.fit.threshold
    assert (table.threshold_low < table.threshold).all()
    assert (table.threshold < table.threshold_high).all()
    assert np.isfinite(table.relaxation_time.values[0]).sum() >= 8


def test_refusals_are_rows_and_wrong_keys_are_named(tmp_path, call, capsys):
    assert cli.main(["threshold", *call, "--batch-fractions", "0.05", "--steps", "150"]) == 0
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as file:
        assert "above the stability limit" in str(file.problem.values[0])
        assert np.isnan(file.threshold.values[0])
    (tmp_path / "call.toml").write_text(TOML.replace("points", "pionts"))
    assert cli.main(["threshold", *call, "--overwrite"]) == 2
    assert "did you mean `points`" in capsys.readouterr().err


def test_section_of_the_report(tmp_path):
    options = {"steps": 500, "lengths": (1024,), "fractions": (1.0, 0.2), "starts": (0.03,), "cache": tmp_path}
    section = recovery.build(True, lambda done, total, label: None, **options)
    assert [figure.name for figure in section.figures] == ["relaxation_times", "thresholds", "descent_diagram"]
    fits, growth = section.tables
    assert [row[0] for row in fits.rows] == ["1", "0.2"]
    assert float(growth.rows[1][1]) < float(growth.rows[0][1])
    gd, sgd = (float(row[2]) for row in fits.rows)
    assert sgd < gd
    assert "b = 0.2" in section.text[2]
    assert (section.data["recovery_thresholds"].threshold == [gd, sgd]).all() or np.allclose(
        section.data["recovery_thresholds"].threshold, [gd, sgd], atol=5e-4
    )
    for figure in section.figures:
        figure.figure.savefig(tmp_path / f"{figure.name}.png")


def test_stable_region_of_the_diagram():
    stable = recovery._stable(np.array([1.5, 3.0]), np.array([0.05, 1.0]), 0.1)
    assert stable.tolist() == [[False, False], [True, True]]


def test_ordering_says_no_more_than_the_fits():
    def answer(fraction, low, high):
        distance = np.geomspace(0.05, 1.0, 8)
        middle = 0.5 * (low + high)
        fit = sg.fit_power_law(middle + distance, 10 / distance)
        fit = sg.PowerLaw(**({name: getattr(fit, name) for name in fit.__slots__} | {"interval": (low, high)}))
        setting = sg.thresholds.relaxation.Setting(
            model=sg.GaussianLeastSquares(alpha=1.0), algorithm=sg.SGD(0.1, fraction), start=sg.Start(), level=0.01,
            steps=100, method=None,
        )  # fmt: skip
        data = sg.RelaxationTimes(alphas=fit.alphas, times=fit.times, setting=setting)
        return sg.RecoveryThreshold(fit=fit, problem="", window=(1, 100), data=data)

    assert "no batch fraction" in recovery._ordering([answer(1.0, 2.0, 2.2), answer(0.5, 1.9, 2.05)])
    said = recovery._ordering([answer(1.0, 2.0, 2.2), answer(0.5, 1.9, 2.05), answer(0.2, 1.6, 1.8)])
    assert "b = 0.2:" in said
