"""The reveal budget: how many profiles an access key may open in an hour and in a day, counted in steps of both."""

from collections.abc import Mapping

from vault.records import Allowance

#: Spans of a budget in milliseconds, and the steps in which each slides.
HOUR, DAY = 3_600_000, 86_400_000
STEPS = 60


def wait_in(opened: Mapping[int, int], asked: Allowance, span: int, bound: int) -> int:
    """Return for how many seconds what is asked for is more than a bound leaves; 0 if it is not.

    ``opened`` counts by step of the span. Steps of a clock that was ahead count: one that steps back gives nobody more.
    """
    step = span // STEPS
    live = sorted((number, count) for number, count in opened.items() if number > asked.now // step - STEPS)
    over = sum(count for _, count in live) + asked.opens - bound
    if over <= 0:
        return 0
    freed = 0
    for number, count in live:
        freed += count
        if freed >= over:
            return -(-((number + STEPS) * step - asked.now) // 1000)
    return span // 1000  # more at once than it may open in all
