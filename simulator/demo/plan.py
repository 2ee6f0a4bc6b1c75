"""What the demonstration campus consists of: names and numbers only, no files and no processes."""

from collections.abc import Iterator
from dataclasses import dataclass

CELL_ID = "campus"
SITE_ID = "east"
SITE_NAME = "东区学生公寓"
FLOORS = 6
PROFILE = "ddsy1352-nk"
VACANT_EVERY = 27  # one room in so many is not opened yet


@dataclass(frozen=True, slots=True)
class Room:
    """A room with its meter on a bus. `n` counts the rooms of a building from 0."""

    building: int
    n: int
    floor: int
    name: str
    bus: int
    address: int
    meter_id: str

    @property
    def vacant(self) -> bool:
        """Whether nobody has opened an account for it yet."""
        return self.n % VACANT_EVERY == VACANT_EVERY - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the campus is, how fast its rooms burn, and what they burn.

    `rate`: rooms burn so many times as fast. `load_csv`: half-hourly Wh to replay, or None.
    """

    buildings: int = 4
    buses: int = 4
    meters: int = 30
    rate: int = 1
    load_csv: str | None = None
    seed: int = 1

    def gateway_id(self, building: int) -> str:
        return f"gw-{building}"

    def bus_id(self, building: int, bus: int) -> str:
        return f"b{building}-{bus}"

    def building_id(self, building: int) -> str:
        return f"b{building}"

    def building_numbers(self) -> range:
        return range(1, self.buildings + 1)

    def bus_numbers(self) -> range:
        return range(1, self.buses + 1)

    def meter_id(self, building: int, n: int) -> str:
        """The nameplate number of a building's meter `n`; 12 digits, the leading zero kept."""
        return f"0316{building:02d}{n + 1:06d}"

    def rooms(self, building: int) -> Iterator[Room]:
        """The rooms of a building, floor by floor along the buses."""
        per_floor = -(-self.buses * self.meters // FLOORS)
        for n in range(self.buses * self.meters):
            bus, on_bus = divmod(n, self.meters)
            floor, on_floor = divmod(n, per_floor)
            yield Room(
                building=building,
                n=n,
                floor=floor + 1,
                name=f"{building}-{floor + 1}{on_floor + 1:02d}",
                bus=bus + 1,
                address=on_bus + 1,
                meter_id=self.meter_id(building, n),
            )

    @property
    def meters_total(self) -> int:
        return self.buildings * self.buses * self.meters
