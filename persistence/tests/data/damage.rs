//! Damage at rest: a zeroed page, an overwritten sector, a truncated file. Reading it may kill the reader, so the reader is a
//! process of its own; what it calls whole is whole.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pangaea_persistence::verify::verify;
use pangaea_persistence::{Data, LmdbFile};

use crate::crash_images::{Life, fingerprint, open, quick_folder};

/// Tells the test below that it is the reader, and what to read.
const READ: &str = "PANGAEA_TEST_READS";
/// Files damaged in each way.
const FILES: usize = 25;

/// What a reader of its own says about a folder.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// It is whole; the fingerprint of its rows.
    Whole(u64),
    /// It found something.
    Damaged,
    /// It was killed by what it read.
    Died,
}

fn read(folder: &Path) -> Said {
    let mut reader = Command::new(std::env::current_exe().expect("this program"));
    reader.args(["--exact", "damage::what_is_called_whole_is_whole", "--nocapture"]).env(READ, folder);
    let output = reader.stdin(Stdio::null()).stderr(Stdio::null()).output().expect("starts");
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_whitespace().skip_while(|word| *word != "whole").nth(1) {
        Some(fingerprint) if output.status.success() => Said::Whole(fingerprint.parse().expect("a number")),
        _ if text.contains("damaged") => Said::Damaged,
        _ => Said::Died,
    }
}

#[allow(clippy::print_stdout, reason = "it answers its parent")]
fn be_the_reader(folder: &Path) {
    match LmdbFile::open(folder).and_then(|file| Ok((verify(&file)?, file))) {
        Ok((verification, file)) if verification.ok() => println!("\nwhole {} ", fingerprint(&file)),
        Ok(_) | Err(_) => println!("\ndamaged "),
    }
}

#[test]
fn what_is_called_whole_is_whole() {
    if let Some(folder) = std::env::var_os(READ) {
        return be_the_reader(Path::new(&folder));
    }
    let folder = quick_folder();
    let mut data = Data::new(open(folder.path()).expect("opens"));
    let mut life = Life::begin(&mut data, 3);
    for _ in 0..30 {
        assert!(life.go_on(&mut data));
    }
    drop(data);
    let file = folder.path().join("data.mdb");
    let (sound, whole) = (fs::read(&file).expect("a file"), read(folder.path()));
    assert!(matches!(whole, Said::Whole(_)), "{whole:?}");

    let mut random = fastrand::Rng::with_seed(5);
    let mut noticed = [0; 3];
    for n in 0..FILES * 3 {
        let (mut bytes, at) = (sound.clone(), random.usize(0..sound.len()));
        match n % 3 {
            0 => bytes[at & !4_095..][..4_096].fill(0),
            1 => bytes[at & !511..][..512].iter_mut().for_each(|byte| *byte = random.u8(..)),
            _ => bytes.truncate(at),
        }
        fs::write(&file, &bytes).expect("written");
        let said = read(folder.path());
        noticed[n % 3] += u32::from(said != whole);
        assert!(!matches!(said, Said::Whole(_)) || said == whole, "byte {at} in way {}: {said:?} but it is not", n % 3);
    }
    let [zeroed, overwritten, truncated] = noticed;
    println!("of {FILES} each noticed: {zeroed} zeroed pages, {overwritten} overwritten sectors, {truncated} truncations");
    assert!(noticed.iter().all(|noticed| *noticed > FILES as u32 / 5), "many pages are in use: {noticed:?}");
}
