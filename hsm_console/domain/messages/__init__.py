"""Wire messages of the gateway's HTTP interface: one module per place (session, ceremony, audit, keys, people)."""
