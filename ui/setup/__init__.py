"""The set-up assistant: from nothing to a workspace that people can log in to."""
