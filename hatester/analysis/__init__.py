"""The model of a run, and what follows from evidence: verdicts, findings, comparisons."""
