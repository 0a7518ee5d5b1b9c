"""TensorBoard's files: one module for trials, one for supernets, and the listener that writes both."""
