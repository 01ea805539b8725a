"""A request to the network and back, for any backend."""
