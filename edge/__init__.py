"""The building: a gateway that reads, prices, warns, trips and restores by itself."""
