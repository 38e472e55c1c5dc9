"""What every layer may use: errors, the clock, failpoints, secrets, telemetry."""
