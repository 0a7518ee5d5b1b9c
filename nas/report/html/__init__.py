"""Reports as one HTML page each: what was found, with every picture drawn here as SVG. The page needs no network, no
library and no other file, and text from data cannot become markup.

Belongs here: what a page says of runs that are read from their logs. Does not belong here: torch, matplotlib, and what
only a trained network can tell, which ``nas.analysis`` keeps beside the run.
"""
