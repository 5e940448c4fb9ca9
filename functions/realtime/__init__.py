"""Data changes to every phone, over API Gateway WebSockets."""
