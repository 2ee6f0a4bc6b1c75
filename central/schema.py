"""Every table of the office in one place: importing this module completes `metadata`.

Each feature keeps its tables in its own `tables.py` (or beside the one module that writes them) and
is named here, so that migrations, `create_all` and tests see the same set.
"""

from central import audit, books
from central.database import metadata
from central.people import tables as people
from central.rooms import tables as rooms
from central.sales import tables as sales

FEATURES = (audit, books, people, rooms, sales)

__all__ = ["FEATURES", "metadata"]
