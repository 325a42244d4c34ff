"""Reports: tables, HTML, Markdown, JUnit, drawings, the live view."""
