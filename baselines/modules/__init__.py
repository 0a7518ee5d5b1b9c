"""The fixed networks as torch modules; importing them imports torch, so only building a network does."""
