"""The matrix: declarations, scenarios, HAProxy configurations, references, and the plan."""
