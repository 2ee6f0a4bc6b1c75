"""The technician: from a blank Raspberry Pi to a live gateway."""
