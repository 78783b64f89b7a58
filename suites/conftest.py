"""`pytest suites` runs what lies here; `gate/` holds a project that is measured as a whole, no benchmarks of ours."""

collect_ignore = ["gate"]
