//! The client edge core: sessions, routing of inputs and replication to clients.
