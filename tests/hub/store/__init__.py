import pytest

pytest.register_assert_rewrite("tests.hub.store.suite")
