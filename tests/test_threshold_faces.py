"""`sgdmft threshold`, the report's section on recovery, and its pictures."""

import numpy as np
import pytest
import xarray as xr

import sgdmft as sg
from sgdmft import cli, plotting
from sgdmft.reports.sections import recovery

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
    assert (table.threshold_low <= table.threshold).all()
    assert (table.threshold <= table.threshold_high).all()
    assert (table.threshold_low < table.threshold_high).all()
    assert np.isfinite(table.relaxation_time.values[0]).sum() >= 8
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_refusals_are_rows_and_wrong_keys_are_named(tmp_path, call, capsys):
    assert cli.main(["threshold", *call, "--batch-fractions", "0.05", "--steps", "150"]) == 0
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as file:
        assert "above the stability limit" in str(file.problem.values[0])
        assert np.isnan(file.threshold.values[0])
    (tmp_path / "call.toml").write_text(TOML.replace("points", "pionts"))
    assert cli.main(["threshold", *call, "--overwrite"]) == 2
    assert "did you mean `points`" in capsys.readouterr().err


def test_the_picture_is_not_overwritten_and_is_no_netcdf_file(tmp_path, call, capsys):
    (tmp_path / "out.png").write_text("mine")
    assert cli.main(["threshold", *call]) == 2
    assert "out.png` exists already" in capsys.readouterr().err
    assert not (tmp_path / "out.nc").exists()
    assert cli.main(["threshold", call[0], "-o", str(tmp_path / "other.png")]) == 2
    assert "Let it end in .nc" in capsys.readouterr().err


LINEAR = """
steps = 1024
[algorithm]
learning_rate = 0.1
[threshold]
linearized = true
batch_fractions = [1.0, 0.2]
alphas = [0.5, 3.5]
tolerance = 0.5
"""


def test_linearized_command_answers_as_the_function(tmp_path, call, capsys):
    (tmp_path / "call.toml").write_text(LINEAR)
    assert cli.main(["threshold", *call[:-1]]) == 0
    said = capsys.readouterr().out
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as file:
        table = file.load()
    model = sg.GaussianLeastSquares(alpha=1.0)
    for row, algorithm in enumerate((sg.GradientDescent(0.1), sg.SGD(0.1, 0.2))):
        expected = sg.linear_threshold(model, algorithm, alphas=(0.5, 3.5), tolerance=0.5, steps=1024)
        assert str(expected) in said
        assert table.grows_above.values[row] == expected.grows_above
        tried = len(expected.growths)
        assert table.alpha.values[row, :tried].tolist() == list(expected.growths)
        assert table.verdict.values[row, :tried].tolist() == [g.verdict.name.lower() for g in expected.growths.values()]
        np.testing.assert_array_equal(table.log_growth.values[row, 0], expected.growths[0.5].log_growth)
    assert table.grows_above.values[1] < table.grows_above.values[0]
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"
    assert cli.main(["threshold", *call]) == 2, "nothing is overwritten"


def test_options_of_the_other_mode_are_refused(tmp_path, call, capsys):
    assert cli.main(["threshold", *call, "--linearized"]) == 2
    assert "`points` means nothing with `linearized`" in capsys.readouterr().err
    assert cli.main(["threshold", *call, "--tolerance", "0.1"]) == 2
    assert "`tolerance` means nothing without `linearized`" in capsys.readouterr().err
    (tmp_path / "call.toml").write_text(LINEAR.replace("true", '"no"'))
    assert cli.main(["threshold", *call]) == 2
    assert "must be true or false, but is 'no'" in capsys.readouterr().err
    (tmp_path / "call.toml").write_text(LINEAR.replace("[0.5, 3.5]", "[0.5]"))
    assert cli.main(["threshold", *call]) == 2
    assert "`alphas` must hold two numbers, but is [0.5]" in capsys.readouterr().err


def test_pictures_show_each_verdict_and_each_algorithm():
    model = sg.GaussianLeastSquares(alpha=1.0)
    algorithms = [sg.GradientDescent(0.1), sg.Descent(learning_rate=0.1, batches=sg.Shuffled(5))]
    options = {"alphas": (0.5, 3.5), "tolerance": 1.0, "steps": 1024}
    answers = [sg.linear_threshold(model, algorithm, **options) for algorithm in algorithms]
    left, *rest = plotting.linear_threshold_figure(algorithms, answers).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["$b=1$", "shuffled epochs, $b=0.2$"]
    drawn = {line.get_label(): line.get_xdata().tolist() for line in left.lines if not line.get_label().startswith("_")}
    verdicts = {name: [a for a, g in answers[0].growths.items() if g.verdict.name.lower() == name] for name in drawn}
    assert drawn == verdicts
    assert sorted(drawn) == ["decays", "grows", "undecided"]
    assert len(rest) == 2


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
    margin = recovery._margin(np.array([1.5, 3.0]), np.array([0.05, 1.0]), 0.1)
    assert (margin > 0).tolist() == [[False, False], [True, True]]
    assert margin[1, 1] == pytest.approx(1 / 4 / 0.1 - 1)  # gradient descent is stable below 1 / (1 + alpha)


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
