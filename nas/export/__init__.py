"""Files that leave the tool, each loaded again and checked. Nothing here trains."""
