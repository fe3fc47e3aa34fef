//! The planner, told as text: every `*.txt` beside this file is a script with the plans that it expects, see [`script`].
//!
//! With `PANGAEA_BLESS=1` the expected texts are written anew; look at the difference before you commit it.

mod crowds;
mod script;

use std::fs;
use std::path::Path;

#[test]
fn every_script_gets_the_plans_that_it_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    assert!(paths.len() >= 10, "the scripts are gone: {paths:?}");
    let failed: Vec<String> = paths.iter().filter_map(|path| differs(path)).collect();
    assert!(failed.is_empty(), "{}\nPANGAEA_BLESS=1 takes what came for what is expected", failed.join("\n"));
}

/// What is not as expected, for people.
fn differs(path: &Path) -> Option<String> {
    let expected = fs::read_to_string(path).expect("a script");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let came = script::run(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
    if came == expected {
        return None;
    }
    if std::env::var_os("PANGAEA_BLESS").is_some() {
        fs::write(path, came).expect("a script that can be written");
        return None;
    }
    Some(format!("{name}:\n{}", difference(&expected, &came)))
}

/// The lines between the first and the last that differ.
fn difference(expected: &str, came: &str) -> String {
    let (mut expected, mut came): (Vec<_>, Vec<_>) = (expected.lines().collect(), came.lines().collect());
    let same = expected.iter().zip(&came).take_while(|(one, other)| one == other).count();
    let context = same.saturating_sub(2);
    let before = expected[context..same].join("\n  ");
    (expected, came) = (expected.split_off(same), came.split_off(same));
    while expected.last().is_some_and(|line| came.last() == Some(line)) {
        expected.pop();
        came.pop();
    }
    format!("  {before}\n- {}\n+ {}\n", expected.join("\n- "), came.join("\n+ "))
}

#[test]
fn a_hundred_scenes_are_levelled_within_bounds() {
    // The shape of the large simulation in `examples/paper_scale.rs`, at a tenth of its size.
    let mut town = crowds::Town::new(crowds::Size { scenes: 100, shards: 10_000, agents: 1_000_000 }, 7);
    let before = town.outlook();
    let rounds = town.settle(200);
    let after = town.outlook();
    assert!(before.max > before.mean.permille_of(1_500), "it starts uneven: {before}");
    assert!(after.max <= after.mean.permille_of(1_041) && after.min >= after.mean.permille_of(959), "{after}");
    assert!(rounds < 200, "it comes to rest");
    assert_eq!(town.plan(), town.plan(), "the same inventory gives the same plan");
}
