"""Post-quantum algorithms in software: ML-DSA (FIPS 204), SLH-DSA (FIPS 205), ML-KEM (FIPS 203)."""
