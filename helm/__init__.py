"""The chart, and what in it is made from other files of this repository."""
