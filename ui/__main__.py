"""`python -m ui`: the desktop application."""

from ui.compose import main

if __name__ == "__main__":
    raise SystemExit(main())
