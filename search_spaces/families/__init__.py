"""One file a family: its choices and its definition. A file added here is a space added."""
