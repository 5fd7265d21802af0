"""Orders as FIX: the dictionary, messages, sessions, and the gateway that sends what is on the topic."""
