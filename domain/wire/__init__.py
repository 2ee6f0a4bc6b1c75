"""What travels between a building and the centre: envelope, topics, facts, intents."""
