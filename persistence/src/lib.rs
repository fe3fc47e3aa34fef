//! Journal, records, ledger, tables and blobs over LMDB or a deterministic in-memory twin.
//!
//! [`Data`] is the core of a data node. Messages are queued by `handle`; `commit` runs all that is queued against one
//! snapshot, writes every change in one transaction, and only then lets the replies out: what is acknowledged is durable.
//!
//! Read in this order: [`store`] (what a store promises), `batch` (the changes of one commit), `journal`, `fold` and `lanes`
//! (a shard's log and the rows it folds into), `load`, [`ledger`], `tables`, `blobs`, `ids`, `service` (the copy in memory),
//! [`verify`], [`contact`] (which data node serves which keys), [`log`] (one order for several data nodes), [`data`] (all of
//! it together), [`contract`] (what any backend of the journal and of the blobs must do).

mod key;

mod codec;

pub mod store;

mod batch;

mod service;

mod journal;

mod fold;

mod lanes;

pub mod recut;

mod load;

pub mod ledger;

mod tables;

mod blobs;

mod ids;

pub mod verify;

pub mod contact;

pub mod log;

pub mod data;

pub mod contract;

pub use data::Data;
pub use ids::ID_BLOCK;
pub use journal::{ENTRIES_KEPT, FormFault, Head as JournalHead, OwnerInForce, encode_entry};
pub use load::IMAGE_PART_BYTES;
pub use log::{Logged, Place, Proposal};
pub use store::{LmdbFile, LmdbOptions, LmdbStore, MemoryFaults, MemoryStore, Snapshots, Store, StoreError, disk_space};
