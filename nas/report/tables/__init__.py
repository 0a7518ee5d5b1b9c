"""What is printed in a terminal, a file a subject."""
