"""From a plan to a finished run: sessions, trials, confirmation, studies. No flags, tables or torch."""
