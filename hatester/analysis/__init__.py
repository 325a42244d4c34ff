"""Analysis: timeline, verdict, explanation, findings, comparison, expectation. No machine is
needed here."""
