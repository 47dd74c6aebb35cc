"""Data of the application: scripts, environments, themes, words, fonts, icons."""
