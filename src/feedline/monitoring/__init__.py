"""Whether feeds are where they should be by now, and who has been told that they are not."""
