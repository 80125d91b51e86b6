"""The sections of the report, one module each: `build(quick, progress) -> Section`."""
