"""Runs and studies: they fill folders of results.

A file is `recorded` if it is as its checksum says, and a folder is `checked` if its files agree with each other;
`verify` makes results again. What is `fetched` comes from a cluster; `others` runs somebody else's pipeline.
"""
