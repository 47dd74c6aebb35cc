"""Tokens behind PKCS#11 modules: one base, one file and one profile per vendor."""
