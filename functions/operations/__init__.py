"""What a deployment does to itself."""
