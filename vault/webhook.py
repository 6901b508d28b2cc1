"""Tells somebody outside of the vault of an alarm: one POST with a signed statement."""

#: Seconds for the whole exchange.
TIMEOUT = 5.0


class Webhook:
    """One address that hears of alarms."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def post(self, statement: str) -> bool:
        """Send a statement, JSON text; whether it was taken (any 2xx). Follows no redirect: it goes nowhere else."""
        import aiohttp  # here: no command needs it, and it would take a third of their start with it

        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        headers = {"Content-Type": "application/json", "User-Agent": "tokenization-vault"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, data=statement, headers=headers, allow_redirects=False) as answer,
            ):
                return 200 <= answer.status < 300
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return False
