"""Fixtures that the tests of deliveries share: a local Graph, its control client, and a post."""

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from graph_emulator.config import EmulatorConfig
from graph_emulator.control import EmulatorClient
from graph_emulator.posts import Post
from graph_emulator.server import RunningEmulator
from graph_emulator.server import running as emulator_running


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    """A local Graph."""
    with emulator_running() as emulator:
        yield emulator


@pytest.fixture
def control(emulator: RunningEmulator) -> Iterator[EmulatorClient]:
    """The control client of the local Graph, cleared and set to its usual behaviour."""
    with EmulatorClient(emulator.control_url) as control:
        control.clear()
        control.configure(**asdict(EmulatorConfig()))
        yield control


@pytest.fixture
def post(control: EmulatorClient) -> Post:
    """A new post in the local Graph."""
    return control.add_post()
