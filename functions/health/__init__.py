"""What monitors and phones ask before anything else. These answer bare, without the envelope."""
