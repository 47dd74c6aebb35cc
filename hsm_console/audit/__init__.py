"""The evidence: canonical bytes, log, tree, checkpoints, receipts, verification (docs/audit-format.md)."""
