"""Which architecture is tried next, and which trial stops early; NNI in two files. No processes here."""
