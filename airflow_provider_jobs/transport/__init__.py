"""How a request travels: one policy, one thin loop for worker processes and one for the triggerer's event loop."""
