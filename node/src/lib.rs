//! The shell: tokio, sockets, threads, clock, configuration, telemetry and one driver per role.
