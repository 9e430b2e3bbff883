"""Every provider's bench, and what the tests of the sandbox alone need beside."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.payments.provider_app import ProviderSettings
from tests.integration.payments.sandbox_bench import (
    HandClock,
    Receiver,
    SandboxBench,
    sandbox_bench,
    sandbox_running,
    sandbox_settings,
    until,
)
from tests.integration.payments.stripe_bench import localstripe_url, stripe_bench
from tests.integration.payments.wechat_bench import wechat_bench, wechat_keys

__all__ = ["localstripe_url", "sandbox_bench", "stripe_bench", "wechat_bench", "wechat_keys"]


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    return until


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def settings(tmp_path: Path, receiver: Receiver) -> ProviderSettings:
    return sandbox_settings(tmp_path, receiver)


@pytest.fixture
def sandbox(
    settings: ProviderSettings, clock: HandClock, receiver: Receiver
) -> Iterator[SandboxBench]:
    with sandbox_running(settings, clock, receiver) as bench:
        yield bench


@pytest.fixture
def start(clock: HandClock, receiver: Receiver) -> Callable[[ProviderSettings], Any]:
    """Starts a provider with settings of the test's own."""
    return lambda settings: sandbox_running(settings, clock, receiver)
