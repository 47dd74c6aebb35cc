"""Envelopes for encrypted data in published forms: CMS AuthEnvelopedData (RFC 5083) and JWE (RFC 7516)."""
