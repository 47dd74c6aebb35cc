"""Threat detection: rules, baselines and the engine that judges each entry. Knows the domain only."""
