"""Views of runs and plans: tables, JSON, pictures, TensorBoard. Nothing here trains or writes to a log."""
