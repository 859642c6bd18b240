"""Analyses: functions of a Subject that return a Result, one file each. Only they draw figures."""
