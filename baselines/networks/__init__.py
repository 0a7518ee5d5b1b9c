"""The fixed networks, one file each; ``baselines.registry`` imports them all."""
