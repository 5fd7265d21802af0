"""The books of a day's orders: what was accepted, sent, executed, and whether it adds up."""
