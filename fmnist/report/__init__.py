"""The report and its pictures: what shows results."""
