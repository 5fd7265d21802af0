"""A simulated FIX engine: the counterparty that the gateway is tested, measured and shown with."""
