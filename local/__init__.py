"""The whole stack on one machine: real servers, a local cloud, and what no library does."""
