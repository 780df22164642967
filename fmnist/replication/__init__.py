"""Does the published accuracy replicate? Runs, their records and reports, and the published figures."""
