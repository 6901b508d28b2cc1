"""The rails of an access key, judged when it is made: what is stored is in one form, and each mistake has a name."""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec.structs import replace

from vault.records import Rails

Network = IPv4Network | IPv6Network

#: Bounds of what one key may name: far more than a reader of one purpose needs.
MOST_PATHS, MOST_PATH, MOST_NETWORKS = 100, 200, 100
#: The largest number of a budget: that of the settings (31 bits).
MOST = 2**31 - 1

#: Scopes whose holder could read what is hidden from it.
WRITERS = frozenset({"profiles:write", "admin"})


def checked(rails: Rails, scopes: Collection[str]) -> tuple[Rails, dict[str, str]]:
    """Return the rails in the form that is stored, and what is wrong with them, by field."""
    wrong = {}
    for name in ("fields", "masked"):
        paths = getattr(rails, name)
        if paths and (len(paths) > MOST_PATHS or not all(map(_is_path, paths))):
            wrong[name] = (
                f"must be at most {MOST_PATHS} names of fields such as address.city, {MOST_PATH} characters each"
            )
        elif (paths or (name == "fields" and paths is not None)) and (writers := WRITERS & set(scopes)):
            wrong[name] = (
                f"cannot be for a key with {' or '.join(sorted(writers))}: a patch can copy a hidden field into "
                "a shown one; make a second key for writing"
            )
    networks = None
    if rails.networks is not None:
        try:
            networks = _canonical(rails.networks)
        except ValueError:
            wrong["networks"] = (
                f"must be 1 to {MOST_NETWORKS} networks such as 10.1.0.0/16 or 2001:db8::/32, with no bit set past the "
                "prefix; IPv4 is not written as IPv6"
            )
    for name in ("per_minute", "reveals_per_hour", "reveals_per_day"):
        number = getattr(rails, name)
        if number is not None and not 1 <= number <= MOST:
            wrong[name] = f"must be from 1 to {MOST}"
    kept = replace(
        rails,
        fields=None if rails.fields is None else tuple(sorted(set(rails.fields))),
        masked=tuple(sorted(set(rails.masked))),
        networks=networks,
    )
    return kept, wrong


def networks_of(rails: Rails) -> tuple[Network, ...] | None:
    """Return the networks, parsed."""
    return None if rails.networks is None else tuple(map(ip_network, rails.networks))


def _is_path(path: str) -> bool:
    return (
        len(path) <= MOST_PATH
        and path.isprintable()
        and all(name.strip() == name != "" for name in path.split("."))
    )


def _canonical(texts: Iterable[str]) -> tuple[str, ...]:
    found = {ip_network(text) for text in texts}
    # Callers are told as IPv4 where they are (vault.http.address), so a network of such addresses holds nobody; and
    # nor does one that names an interface of this machine.
    if not 1 <= len(found) <= MOST_NETWORKS or any(
        isinstance(one, IPv6Network) and (one.network_address.ipv4_mapped or one.network_address.scope_id)
        for one in found
    ):
        raise ValueError
    return tuple(str(one) for one in sorted(found, key=lambda one: (one.version, one)))
