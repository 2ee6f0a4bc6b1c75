"""A whole campus on one machine: broker, meters, gateways, centre and pages, by one command."""
