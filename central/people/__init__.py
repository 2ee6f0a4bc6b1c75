"""The people of the office: operators, their roles and their sessions."""
