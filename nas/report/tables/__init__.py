"""Tables printed in a terminal, a file a subject."""
