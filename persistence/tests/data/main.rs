//! A data node as its users see it: messages in, a commit, replies out.

mod fixture;

mod journal;

mod fold;

mod crash;

mod disk;

mod crash_images;

mod disk_faults;

mod damage;

mod ledger;

mod recut;

mod trades;

mod tables;

mod verify;
