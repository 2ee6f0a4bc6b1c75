"""Alarms: what a person should know, from the buildings and from the office itself."""
