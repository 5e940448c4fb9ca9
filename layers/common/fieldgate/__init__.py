"""What two or more of Fieldgate's domains need: the layer under every function."""
