"""Where people live and what hangs there: sites, buildings, rooms, points, buses, price tables."""
