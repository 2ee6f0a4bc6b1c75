"""The RS485 bus: one owner per port, half duplex, never two requests at once."""
