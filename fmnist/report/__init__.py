"""The report and its pictures: they show results."""

__all__ = ["FILE_NAME"]

#: The page, in the folder of a run or a study.
FILE_NAME = "report.html"
