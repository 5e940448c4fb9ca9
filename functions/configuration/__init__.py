"""Configuration that admins set while the system runs."""
