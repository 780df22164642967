"""The report and its pictures: they show results."""
