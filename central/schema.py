"""Every table of the office in one place: importing this module completes `metadata`.

Each feature keeps its tables in its own `tables.py` (or beside the one module that writes them) and
is named here, so that migrations, `create_all` and tests see the same set.
"""

from central import audit, books, outbox
from central.alarms import tables as alarms
from central.database import metadata
from central.gateways import tables as gateways
from central.metering import tables as metering
from central.people import tables as people
from central.rooms import tables as rooms
from central.sales import tables as sales

FEATURES = (audit, books, outbox, people, rooms, sales, gateways, metering, alarms)

__all__ = ["FEATURES", "metadata"]
