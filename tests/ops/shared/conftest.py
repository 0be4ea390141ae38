"""The call that a test of ``every_call`` is about."""

import pytest
from every_call import Call


@pytest.fixture
def call(request):
    return Call(*request.param)
