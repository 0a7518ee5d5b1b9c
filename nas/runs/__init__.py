"""The run on the disk: events, the log of them, the state derived from it, folders. Nothing here trains."""
