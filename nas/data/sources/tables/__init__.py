"""A table of labels: which column is what, and where the files are that it names."""
