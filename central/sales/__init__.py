"""Who holds a room, what they paid and got back, and the slip that says so."""
