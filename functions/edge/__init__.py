"""What the gateway cannot say in our words."""
