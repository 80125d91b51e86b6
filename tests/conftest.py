"""The whole suite: its caches, its random examples, and when the tools of `test_quality.py` run; and Ctrl-C."""

from __future__ import annotations

import signal

import hypothesis
import pytest

# Examples are the same in every run; `pytest --hypothesis-profile random` draws new ones.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", deadline=None, print_blob=True)
hypothesis.settings.load_profile("fixed")


def runs_tools(paths, keyword, marks):
    """Whether the tools run: in a plain `pytest`, or where they are asked for by path, `-k` or `-m`."""
    asked = any("quality" in text for text in (*paths, keyword, marks))
    return asked or not (paths or keyword)


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # a process of xdist, which is given paths by the one that was called
        config.tools = config.workerinput["tools"]
        return
    given = config.args_source is pytest.Config.ArgsSource.ARGS
    config.tools = runs_tools(config.args if given else (), config.option.keyword, config.option.markexpr)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["tools"] = node.config.tools


def pytest_collection_modifyitems(config, items):
    if not config.tools:
        skipped = [item for item in items if item.get_closest_marker("quality")]
        config.hook.pytest_deselected(items=skipped)
        items[:] = [item for item in items if item not in skipped]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Nothing is read from, or left in, the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SGDMFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COLUMNS", "200")  # messages are not broken, as wide as the terminal may be
        yield


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# Started in the background, or by a scheduler, the tests may ignore the signals that they send themselves.
for _name, _handler in (
    ("SIGINT", signal.default_int_handler),
    ("SIGTERM", signal.SIG_DFL),
    ("SIGHUP", signal.SIG_DFL),
):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _name), _handler)
