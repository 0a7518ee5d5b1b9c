"""Bodies of the commands, one file each; imported when the command runs, so that --help stays fast."""
