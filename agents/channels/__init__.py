"""Ways to send: one file each, found by a scan; or of other packages, by entry point. See docs/channels.md."""

import pkgutil
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from msgspec import Struct

from agents.channels.settings import ChannelFactory, ChannelSettings
from agents.ports import Channel, Clock

GROUP = "clepsydra.channels"
"""Of the entry points by which other packages bring channels."""
OURS = frozenset({"agents", "schemas"})


class Scan(Struct, frozen=True):
    """The channels that this installation has, by name, and why others are off."""

    found: dict[str, ChannelFactory]
    off: dict[str, str]


def scan() -> Scan:
    """Import every file of this package; one with a CHANNEL is a channel, one whose library is missing is off.

    Files like `webhook_address.py` are parts of `webhook.py`. Raises ImportError for a fault of our own.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    found: dict[str, ChannelFactory] = {}
    off: dict[str, str] = {}
    for name in (n for n in names if n.partition("_")[0] not in names or "_" not in n):
        match _factory(name):
            case ChannelFactory() as factory:
                found[factory.name] = factory
            case str(reason):
                off[name] = reason
            case None:
                continue
    for point in entry_points(group=GROUP):
        _take(point, found, off)
    return Scan(found, off)


def _take(point: EntryPoint, found: dict[str, ChannelFactory], off: dict[str, str]) -> None:
    """A channel of another package. One that cannot be loaded, or is named as another, is off: nothing else stops."""
    package = point.dist.name if point.dist is not None else "another package"
    if point.name in found:
        off[f"{point.name} of {package}"] = f"there is a channel {point.name} already: its package has to rename it"
        return
    try:
        factory = point.load()
    except Exception as fault:  # noqa: BLE001  another's code may fail in any way
        off[point.name] = f"channel {point.name} of {package} cannot be loaded: {type(fault).__name__}: {fault}"
        return
    if not isinstance(factory, ChannelFactory) or factory.name != point.name:
        off[point.name] = f"{point.value} of {package} is no ChannelFactory of the name {point.name}"
        return
    found[point.name] = factory


def found_channels() -> dict[str, ChannelFactory]:
    """The channels that can be used, by name."""
    return scan().found


def channels_off() -> dict[str, str]:
    """Why a channel cannot be used, by its name: `channel sms is off: install the extra sms`."""
    return scan().off


def made_channels(settings: ChannelSettings, clock: Clock) -> dict[str, Channel]:
    """Every channel found and set up, made and not started: to ask for its name, `honours_key`, `timeout_ms`, ..."""
    return {n: factory(settings, clock) for n, factory in found_channels().items() if not factory.missing(settings)}


def retry_delays(settings: ChannelSettings, clock: Clock) -> dict[str, tuple[int, ...]]:
    """The retry schedule of every channel found, as `schemas.decisions.Policy` takes it."""
    return {name: channel.delays_ms for name, channel in made_channels(settings, clock).items()}


def _factory(name: str) -> ChannelFactory | str | None:
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] in OURS:
            raise
        return f"channel {name} is off: install the extra {name} ({missing.name} is missing)"
    factory = getattr(module, "CHANNEL", None)
    assert factory is None or isinstance(factory, ChannelFactory), f"CHANNEL of {name}.py is no ChannelFactory"
    assert factory is None or factory.name == name, f"{name}.py holds the channel {factory.name}"
    return factory
