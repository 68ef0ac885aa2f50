"""What came out, and how good it is: obedience, memorisation, comparison, survey, and the reports that show it."""
