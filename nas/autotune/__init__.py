"""Measuring how trials run fastest on this machine. Plans and runs do not belong here."""
