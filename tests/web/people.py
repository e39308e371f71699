"""What the people of the tests have in common."""

PASSWORD = "a quiet afternoon"
