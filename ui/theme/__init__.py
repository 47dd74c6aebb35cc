"""How the screen looks: tokens (data) in `resources/themes`, one style sheet for all of them, own fonts and icons."""
