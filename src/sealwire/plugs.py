"""Parts that `sealwire.toml` names by their type: ours, and those of installed packages.

A table with the key `type` stands for an object::

    [[keyring.wrapper]]
    type = "aws-kms"
    key_id = "alias/payloads"

Its other keys are the parameters. A type of ours is loaded where it is used, because most of them
need a package that is an extra. Another package adds a type by an entry point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sealwire.errors import ConfigurationError
from sealwire.schema import TableReader


@dataclass(frozen=True)
class Plugs:
    """One kind of such parts.

    Args:
        what: What they are, for messages: `codec`, say.
        group: The group of entry points.
        own: Our types, as `module:class`; dataclasses that refuse bad parameters.
        protocol: What each object must be.
        methods: What such an object has, for the message when it is not.
        extras: The extras that some of our types need; the others are part of the core.
    """

    what: str
    group: str
    own: Mapping[str, str]
    protocol: type[Any]
    methods: str
    extras: Mapping[str, str]

    def read(self, reader: TableReader, table: Mapping[str, Any], place: str) -> Any:
        """Build the object that a table stands for; None when a fault was noted."""
        name = table.get("type")
        options = {key: value for key, value in table.items() if key != "type"}
        if isinstance(name, str) and name in self.own:
            cls = self._load(reader, name, place)
            return None if cls is None else reader.read(cls, options, f"{place}.")
        return self._foreign(reader, name, options, place)

    def _load(self, reader: TableReader, name: str, place: str) -> Any:
        try:
            return EntryPoint(name, self.own[name], self.group).load()
        except ModuleNotFoundError as err:
            extra = self.extras.get(name)
            fix = f"; fix: pip install 'sealwire[{extra}]'" if extra else ""
            reader.fault(place, f"{name} needs the package {err.name!r}{fix}")
        except ConfigurationError as err:
            reader.fault(place, str(err))
        return None

    def _foreign(
        self, reader: TableReader, name: object, options: dict[str, Any], place: str
    ) -> Any:
        installed = {point.name: point for point in entry_points(group=self.group)}
        point = installed.get(name) if isinstance(name, str) else None
        if point is None:
            accepted = ", ".join([*self.own, *sorted(installed)])
            problem = "is required" if name is None else f"unknown {self.what} {name!r}"
            reader.fault(f"{place}.type", f"{problem}; accepted: {accepted}")
            return None
        try:
            made = point.load()(**options)
        except Exception as err:  # noqa: BLE001 - whatever somebody else's package raises
            reader.fault(place, f"cannot create the {self.what} {name!r}: {err}")
            return None
        if not isinstance(made, self.protocol):
            reader.fault(place, f"{point.value} is no {self.what}: it has no {self.methods}")
            return None
        return made
