"""A campus on a laptop: virtual meters on real serial devices."""
