//! A disk that fails under a commit: nothing of it is acknowledged, nothing is tried again, and a new process finds all that was
//! acknowledged before.

use pangaea_persistence::Data;
use pangaea_persistence::verify::verify;

use crate::crash_images::{Life, fingerprint, open, quick_folder};
use crate::disk;

/// More commits than fail: the last ones come after the fault.
const COMMITS: usize = 4;

/// Lets the disk fail from the `attempt`-th write or sync on; false when the commits needed fewer.
fn fails_well(attempt: usize, errno: i32) -> bool {
    let folder = quick_folder();
    let mut data = Data::new(open(folder.path()).expect("opens"));
    let mut life = Life::begin(&mut data, 7);
    let mut acknowledged = fingerprint(data.store_mut());
    disk::fail_from(attempt, errno);
    let done = (0..COMMITS).take_while(|_| {
        let done = life.go_on(&mut data);
        if done {
            acknowledged = fingerprint(data.store_mut());
        }
        done
    });
    if done.count() == COMMITS {
        disk::recorded();
        return false;
    }
    assert!(data.broken().is_some_and(|reason| reason.contains("no longer trusts its disk")), "the process is told to end");
    let tried = disk::attempts();
    assert!(!life.go_on(&mut data), "nothing is acknowledged any more");
    assert_eq!(disk::attempts(), tried, "a failed sync is never tried again");
    disk::recorded();
    drop(data);
    let store = open(folder.path()).expect("a new process opens it");
    assert!(verify(&store).expect("reads").ok());
    assert_eq!(fingerprint(&store), acknowledged, "what was acknowledged, and not the commit that failed");
    true
}

#[test]
fn a_disk_that_fails_at_any_write_or_sync_loses_nothing_that_was_acknowledged() {
    for errno in [libc::EIO, libc::ENOSPC] {
        let failed = (1..).take_while(|attempt| fails_well(*attempt, errno)).count();
        assert!(failed >= COMMITS * 3, "each commit writes pages, syncs and writes its root: {failed} attempts");
    }
}
