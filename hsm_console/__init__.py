"""HSM Console: key ceremonies on hardware security modules, with evidence that a stranger can check."""

__version__ = "0.1.0"
