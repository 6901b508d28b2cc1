"""A cross-check of the reads with wrk, which shares no code with our own load."""

import asyncio
import re
from collections.abc import Callable, Sequence
from statistics import median

import click
from bench_load import Target
from bench_routes import Contrast

#: Seconds for wrk to end after its time is up.
PATIENCE = 30.0


async def cross_check(
    contrasts: Sequence[Contrast], rounds: int, seconds: float, step: Callable[[str], None]
) -> list[str]:
    """Measure the reads with wrk, one session or profile again and again; return sentences."""
    told = []
    for contrast in (one for one in contrasts if one.is_read):
        ratios = []
        for number in range(rounds + 1):
            base, real = [await _wrk(target, contrast.connections, seconds) for target in contrast.targets]
            if number:
                ratios.append(real / base)
            step(f"wrk {number} of {rounds}, {contrast.route}")
        told.append(f"{contrast.route}: wrk finds ÷ bare wall {median(ratios):.2f}")
    return told


async def _wrk(target: Target, connections: int, seconds: float) -> float:
    """Return wrk's requests a second."""
    first, *headers = target.source().decode().split("\r\n")[:-2]
    url = f"http://127.0.0.1:{target.port}{first.split()[1]}"
    named = [part for header in headers[1:] for part in ("-H", header)]
    whole = str(max(1, round(seconds)))  # it knows no fractions
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t", "1", "-c", str(connections), "-d", whole, *named, url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), int(whole) + PATIENCE)
    rate = re.search(rb"Requests/sec:\s+([\d.]+)", output)
    if rate is None:
        raise click.ClickException("wrk told no rate")
    return float(rate[1])
