//! Bots: real clients over real sockets that report every anomaly a client can see.
