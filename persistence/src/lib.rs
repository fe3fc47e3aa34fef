//! Journal, records, ledger, tables and blobs over LMDB or a deterministic in-memory twin.
