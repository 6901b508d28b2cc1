"""The registry of boxes, by name."""

from vault.ports import SealedStore, Stores


def sealed(stores: Stores, name: str) -> SealedStore:
    """Return the one place with this name where boxes are kept."""
    (store,) = (store for store in stores.sealed if store.name == name)
    return store
