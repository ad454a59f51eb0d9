"""What each service says on the wire: requests are built and replies are read here, nothing is sent."""
