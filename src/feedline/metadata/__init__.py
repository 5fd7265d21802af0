"""What the feeds are: schemas discovered, described, compared, changed and looked up."""
