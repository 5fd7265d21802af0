"""Reading a feed's topic: which offsets to load, the batches in them, and the manifests that close deliveries."""
