"""What the buildings saw and did: facts, readings, charges, and the state that follows from them."""
