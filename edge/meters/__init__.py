"""What each meter type is: data (one TOML profile each) and what is read from it."""
