"""What each command does, a file each; imported when its command runs, so that --help stays instant."""
