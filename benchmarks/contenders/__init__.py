"""One way of doing the job a file, each run as a process of its own that ends with one line of JSON."""
