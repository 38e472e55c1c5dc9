"""What the service is about, as frozen structs and pure functions: nothing here does I/O."""
