"""`python -m hsm_console` is the same as the command `hsm-console`."""

from hsm_console.cli.main import main

raise SystemExit(main())
