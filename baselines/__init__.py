"""Fixed networks and the studies made with them: what to run for comparison, not how to train it.

Empty so far; the studies of the fixed ResNet-18 come here.
"""
