"""The text form of runs: there and back, and every wrong name refused with the nearest right one."""

import tomllib

import numpy as np
import pytest
from hypothesis import given, strategies as st

import sgdmft as sg
from sgdmft.errors import InvalidArgument
from sgdmft.run import parameters

OBJECTS = [
    ("model", sg.GaussianLeastSquares(alpha=2.5)),
    (
        "model",
        sg.GaussianLeastSquares(alpha=2, covariance=sg.Covariance({1: 0.4, 3: 0.1}), labels=sg.Teacher(noise=0.1)),
    ),
    ("model", sg.GaussianLeastSquares(alpha=0.3, labels=sg.ConstantTarget(0.9))),
    ("algorithm", sg.GradientDescent(learning_rate=0.1, momentum=0.5, spherical=True)),
    ("algorithm", sg.SGD(learning_rate=np.linspace(0.1, 0.05, 7), batch_fraction=[0.1, 0.2, 0.3])),
    ("start", sg.Start(magnetization=1e-3, norm=0.7)),
    *(
        ("algorithm", sg.Descent(learning_rate=0.1, batches=example))
        for scheme in sg.Batches.registry.values()
        for example in scheme.examples()
    ),
]


@pytest.mark.parametrize(("role", "thing"), OBJECTS, ids=repr)
def test_objects_survive_toml(role, thing):
    text = parameters.toml({role: parameters.plain(thing)})
    again = parameters.rebuild(role, tomllib.loads(text)[role])
    assert again == thing
    assert parameters.content_key(it=again) == parameters.content_key(it=thing)


@given(st.floats(1e-300, 1e300), st.floats(0, 1e3))
def test_numbers_survive_to_the_last_bit(alpha, noise):
    model = sg.GaussianLeastSquares(alpha=alpha, labels=sg.Teacher(noise=noise))
    text = parameters.toml({"model": parameters.plain(model)})
    assert parameters.rebuild("model", tomllib.loads(text)["model"]) == model


def test_functions_become_arrays_of_the_stated_length():
    algorithm = sg.GradientDescent(learning_rate=lambda t: 0.1 / (1 + t))
    table = parameters.plain(algorithm, steps=3)
    assert table["learning_rate"] == [0.1, 0.05, 0.1 / 3]
    with pytest.raises(InvalidArgument, match="pass `steps`"):
        parameters.plain(algorithm)


def test_content_key_depends_on_every_value_and_not_on_their_order():
    base = {"model": sg.GaussianLeastSquares(alpha=2.5), "start": sg.Start(), "steps": 10}
    key = parameters.content_key(**base)
    assert parameters.content_key(**dict(reversed(base.items()))) == key
    others = [{"model": sg.GaussianLeastSquares(alpha=2.5000000000000004)}, {"steps": 11}, {"start": sg.Start(norm=2)}]
    keys = {parameters.content_key(**{**base, **other}) for other in others}
    assert len(keys) == 3
    assert key not in keys


@pytest.mark.parametrize(
    ("role", "table", "message"),
    [
        ("model", {"alpha": 1, "labls": {}}, r"Unknown key `labls` in \[model\]; did you mean `labels`\?"),
        ("model", {}, "lacks `alpha`"),
        ("model", {"alpha": -1}, "Argument `alpha`"),
        ("model", {"alpha": 1, "covariance": {"two": 1.0}}, "integers of at least 0, but one is 'two'"),
        ("model", {"alpha": 1, "covariance": 3}, "must be a table of powers"),
        ("model", {"alpha": 1, "labels": {"kind": "Techer"}}, "did you mean `Teacher`"),
        ("algorithm", {"learning_rate": 0.1, "batches": {"kind": "Bernouli", "fraction": 0.1}}, "mean `Bernoulli`"),
        ("algorithm", {"learning_rate": 0.1, "batches": "FullBatch", "batch_fraction": 0.1}, "give one of them"),
        ("algorithm", {"learning_rate": 0.1, "batch_fraction": 1.3}, "FullBatch"),
        ("algorithm", {"learning_rate": "fast"}, "must be a number"),
        ("start", 3, r"\[start\] must be a table"),
        ("stat", {}, "Unknown role 'stat'; did you mean `start`"),
    ],
)
def test_wrong_tables_are_refused_with_the_nearest_name(role, table, message):
    with pytest.raises(InvalidArgument, match=message):
        parameters.rebuild(role, table)


def test_short_batch_fraction_is_bernoulli():
    table = {"learning_rate": 0.1, "batch_fraction": 0.3}
    assert parameters.rebuild("algorithm", table) == sg.SGD(learning_rate=0.1, batch_fraction=0.3)


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="cannot be read"):
        parameters.read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("alpha = = 3")
    with pytest.raises(InvalidArgument, match=r"no valid TOML.*line 1"):
        parameters.read_toml(tmp_path / "bad.toml")
