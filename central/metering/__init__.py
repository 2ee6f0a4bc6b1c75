"""What the buildings saw and did: facts, readings, charges, and the states that follow."""
