"""Tests of delivery/retry_budget.py: retries are a share of the traffic, with a floor."""

from attachment_gateway.delivery.retry_budget import RetryBudget


def spent(budget: RetryBudget, now_s: float, times: int = 10_000) -> int:
    return sum(budget.spend(now_s) for _ in range(times))


def test_ten_retries_a_second_are_always_allowed() -> None:
    """Without traffic ten retries a second are allowed, and unused ones aren't saved."""
    budget = RetryBudget()
    assert spent(budget, 5.0) == 10
    assert spent(budget, 5.5) == 5
    assert spent(budget, 100.0) == 10


def test_ten_first_attempts_allow_one_retry() -> None:
    """Ten first attempts allow one retry more than the floor."""
    budget = RetryBudget()
    for _ in range(205):
        budget.earn()
    assert spent(budget, 1.0) == 10 + 20


def test_at_most_100_retries_are_saved() -> None:
    """At most 100 retries are saved, however many first attempts there were."""
    budget = RetryBudget()
    for _ in range(100_000):
        budget.earn()
    assert spent(budget, 1.0) == 10 + 100
