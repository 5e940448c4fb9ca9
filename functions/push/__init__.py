"""Push: devices, what people are told, and sending it to their phones."""
