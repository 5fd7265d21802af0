"""Records and files to micro-batches on topics: `FeedProducer` for programs, the bulk path for feed files."""
