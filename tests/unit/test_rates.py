"""Buckets: how many pass, and when the next one may."""

import pytest

from vault.rates import MINUTE, Rates

NOW = 1_800_000_000_000


@pytest.mark.parametrize("per_minute", [1, 7, 60, 999, 70_000])
def test_as_many_as_allowed_pass_at_once(per_minute: int) -> None:
    """And not one more; the wait that is told is exact to the millisecond."""
    rates = Rates()
    for number in range(1, per_minute + 1):
        assert rates.take("key", per_minute, NOW)[:2] == (0, number)
    wait = rates.take("key", per_minute, NOW).wait
    assert wait == -(-MINUTE // per_minute)
    assert rates.take("key", per_minute, NOW + wait - 1).wait == 1
    assert rates.take("key", per_minute, NOW + wait).wait == 0


def test_a_steady_caller_is_never_refused() -> None:
    """One each part of the minute passes for ever."""
    rates = Rates()
    assert all(rates.take("key", 60, NOW + n * 1000).wait == 0 for n in range(200))


def test_refusals_do_not_lengthen_the_wait() -> None:
    """Whoever hammers is let in as soon as whoever waits."""
    rates = Rates()
    rates.take("key", 1, NOW)
    assert [rates.take("key", 1, NOW + n).wait for n in (0, 1, 59_999)] == [60_000, 59_999, 1]
    assert rates.take("key", 1, NOW + MINUTE).wait == 0


def test_only_the_first_overrun_of_a_minute_is_news() -> None:
    """A caller that goes on is told of once a minute."""
    rates = Rates()
    rates.take("key", 60, NOW)
    news = [
        milliseconds
        for milliseconds in range(0, 130_000, 100)
        if rates.take("key", 60, NOW + milliseconds).first
    ]
    assert len(news) == 3
    assert news[1] - news[0] == news[2] - news[1] == MINUTE


def test_names_do_not_share() -> None:
    """Each has a bucket of its own."""
    rates = Rates()
    assert [rates.take(name, 1, NOW).wait for name in ("a", "b", ("a",), None)] == [0] * 4


def test_the_table_is_bounded() -> None:
    """The one unused for the longest makes room, not the one that is busy."""
    rates = Rates(most=2)
    for name in ("busy", "idle", "busy", "new"):
        rates.take(name, 2, NOW)
    assert rates.take("busy", 2, NOW).wait > 0
    assert rates.take("idle", 2, NOW).held == 1


def test_a_clock_that_steps_back_locks_nobody_out() -> None:
    """The bucket drains from where the clock is now."""
    rates = Rates()
    rates.take("key", 1, NOW)
    assert rates.take("key", 1, NOW - 3_600_000).wait == MINUTE
    assert rates.take("key", 1, NOW - 3_600_000 + MINUTE).wait == 0
