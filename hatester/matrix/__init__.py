"""What is tested: declarations, scenarios, HAProxy configurations, kernel and build references,
the plan."""
