"""`pytest suites` runs what lies here; `gate/` holds a project that is measured as a whole, and no benchmarks of ours."""

collect_ignore = ["gate"]
