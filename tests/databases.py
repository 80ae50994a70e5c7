"""For test modules whose catalog lies in SQLite, and in either database for tests marked `both`.

from databases import both, kind
"""

import pytest

both = pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """SQLite, except for tests that request both databases."""
    return getattr(request, "param", "sqlite")
