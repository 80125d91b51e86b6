"""The commands `sgdmft aging` and `sgdmft hessian`, the pictures, and the report's section."""

from __future__ import annotations

import numpy as np
import xarray as xr

import sgdmft as sg
from sgdmft import cli, plotting
from sgdmft.analysis import aging, landscape
from sgdmft.reports.sections import exploration


def test_aging_command_prints_its_verdict(tmp_path, capsys):
    words = "aging --alpha 2 --target 0.7 --learning-rate 0.1 --batch-fraction 0.2 --steps 200 --quiet"
    output = tmp_path / "a.nc"
    assert cli.main([*words.split(), "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "aging up to t_w = 56" in printed
    assert "T_eff, one step" in printed
    run = sg.load(output)
    assert str(aging.analyse(run)) in printed


def test_hessian_command_gives_theory_and_samples(tmp_path, capsys, monkeypatch):
    words = "hessian --alpha 3 --learning-rate 0.1 --batch-fraction 0.3 --magnetization 0 --steps 6 --two-time 3"
    output = tmp_path / "h.nc"
    assert cli.main([*words.split(), "--size", "30", "--samples", "3", "--quiet", "-o", str(output)]) == 0
    with xr.open_dataset(output, engine="h5netcdf") as table:
        assert abs(float(table["outlier"][0]) + 1.75) < 1e-12
        assert np.all(np.isfinite(table["lowest_error"]))
        assert int(table.attrs["size"]) == 30
    assert cli.main([*words.replace("--magnetization 0", "").split(), "-o", str(output)]) == cli.INVALID
    assert "exists already" in capsys.readouterr().err
    assert cli.main([*words.replace("--magnetization 0", "").split(), "--overwrite", "-o", str(output)]) == 0
    assert "nan" not in capsys.readouterr().out
    with monkeypatch.context() as patched:
        patched.setattr(landscape.along, "LONGEST", 3)
        assert cli.main([*words.split(), "--overwrite", "-o", str(output)]) == 0
    assert "No number" in capsys.readouterr().out


def test_section_and_pictures():
    section = exploration.build(True, steps=120, size=30, samples=2, fractions=(1.0, 0.2))
    first, second = section.figures
    assert [len(figure.figure.axes) for figure in (first, second)] == [3, 4]
    assert [row[0] for row in section.tables[0].rows] == ["b = 1", "b = 0.2"]
    assert section.tables[0].rows[0][1] == "aging"
    assert set(section.data) == {"exploration_aging_b1", "exploration_aging_b0.2", "exploration_replicas_b0.2"}
    panel = second.figure.axes[0]
    expected = landscape.start_spectrum(sg.GaussianLeastSquares(alpha=3.0), sg.Start(magnetization=0.0))
    drawn = panel.lines[0].get_xdata()
    np.testing.assert_allclose([drawn[0], drawn[-1]], expected.bulk.edges, rtol=1e-12)
    _, ((axes,),) = plotting.figure()
    run = section.data["exploration_aging_b0.2"]
    plotting.decays(aging.decays(run), axes=axes, exponent=0.5)
    assert axes.get_xlabel() == r"$\tau/t_w^{0.50}$"
