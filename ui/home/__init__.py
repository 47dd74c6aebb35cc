"""What can be done now, for the person who is here."""
