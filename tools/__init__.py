"""What deploys, describes and checks the project, run as `python -m tools.X` or by make."""
