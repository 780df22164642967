"""Does a published accuracy replicate? Results, published figures and verdicts, without files or network."""
