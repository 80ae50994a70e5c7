"""Shared fixtures: a data home of the tests' own, the sample files, one finished run."""

import os
import signal
import tempfile
from pathlib import Path

import pytest
from samples import DATA

# Set before any test imports vur.settings, which reads the environment once.
os.environ["VUR_HOME"] = os.environ.get("VUR_TEST_HOME") or tempfile.mkdtemp(prefix="vur-test-home-")
os.environ["VUR_LANGUAGE"] = "en"
for name in ("VUR_TIME_BUDGET", "VUR_REPORTS", "VUR_SETTINGS", "VUR_LEVELS"):
    os.environ.pop(name, None)


# Files that take minutes: begun first, so that no core waits for them at the end.
LONG = (
    "test_soak.py",
    "test_notebooks.py",
    "test_story.py",
    "test_client.py",
    "test_job_faults.py",
    "test_networks.py",
    "test_tuning.py",
    "test_packaging.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put long files first, without changing the order inside files; tests repeated on PostgreSQL count as slow."""
    for item in items:
        if getattr(item, "callspec", None) and item.callspec.params.get("kind") == "postgresql":
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(autouse=True)
def ctrl_c() -> None:
    """Ctrl-C raises KeyboardInterrupt in every test, and reaches what it starts.

    A shell that starts the tests in the background ignores it for them, and notebooks run by earlier tests leave it
    deadly.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of sample files."""
    return DATA
