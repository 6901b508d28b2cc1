"""The technologies that keep the rows. A back-end is one module and one row in the table below."""

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path

from vault.errors import ConfigError
from vault.ports import Stores

#: The module behind each URL scheme; its ``open_stores(folder, busy_timeout)`` opens the stores.
SCHEMES: dict[str, str] = {
    "memory": "vault.stores.memory",
    "sqlite": "vault.stores.sqlite",
}


def open_stores(url: str, folder: Path | None, busy_timeout: float) -> AbstractAsyncContextManager[Stores]:
    """Return the stores behind ``url``; they are open inside the context.

    ``folder`` is the data folder, if the back-end keeps one; ``busy_timeout`` is how many seconds a call
    waits for a lock. Raises ``ConfigError`` for an unknown scheme and for a missing driver. The URL may hold
    a password, so no message repeats it.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in SCHEMES:
        raise ConfigError(f"A store's URL begins with one of: {', '.join(f'{known}:' for known in SCHEMES)}")
    try:
        module = import_module(SCHEMES[scheme])
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"A '{scheme}:' store needs the module '{error.name}': pip install 'tokenization-vault[{scheme}]'"
        ) from error
    stores: AbstractAsyncContextManager[Stores] = module.open_stores(folder, busy_timeout)
    return stores
