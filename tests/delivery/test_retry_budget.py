"""retry_budget: retries are a small share of the traffic, with a floor."""

from attachment_gateway.delivery.retry_budget import RetryBudget


def spent(budget: RetryBudget, now_s: float, times: int = 10_000) -> int:
    return sum(budget.spend(now_s) for _ in range(times))


def test_ten_a_second_are_always_allowed() -> None:
    """Also without any traffic, and none is saved up for later."""
    budget = RetryBudget()
    assert spent(budget, 5.0) == 10
    assert spent(budget, 5.5) == 5
    assert spent(budget, 100.0) == 10


def test_a_tenth_of_the_traffic() -> None:
    """A retry for ten first attempts, beside the floor."""
    budget = RetryBudget()
    for _ in range(205):
        budget.earn()
    assert spent(budget, 1.0) == 10 + 20


def test_what_is_saved_has_a_bound() -> None:
    """A long good time doesn't pay for a flood."""
    budget = RetryBudget()
    for _ in range(100_000):
        budget.earn()
    assert spent(budget, 1.0) == 10 + 100
