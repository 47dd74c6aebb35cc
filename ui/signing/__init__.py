"""Using keys: sign, verify, encrypt, decrypt."""
