"""The report and its pictures: they show results."""

__all__ = ["DISTRIBUTION", "FILE_NAME"]

#: The page, in the folder of a run or a study, and the picture of the accuracies of a study.
FILE_NAME, DISTRIBUTION = "report.html", "distribution.png"
