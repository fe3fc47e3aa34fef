//! Who listens to systems hears each of them, and changes nothing.

use std::sync::{Arc, Mutex};

use super::village;
use crate::harness::Harness;
use crate::prelude::*;
use crate::profile::Moment;

/// A village with somebody who walks, after some ticks; what was said, if anybody listens.
fn some_ticks(listens: bool) -> (u64, Vec<String>) {
    let mut harness = Harness::new(village);
    let anna = harness.player("Anna");
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    harness.world.listen_to_systems(listens.then(|| -> crate::profile::Listener {
        Box::new(move |moment| {
            let words = match moment {
                Moment::Begins => "begins".to_owned(),
                Moment::Ended(name) => name.to_string(),
            };
            heard.lock().expect("whole").push(words);
        })
    }));
    for _ in 0..3 {
        harness.input(anna, super::Walk { to: Velocity { x: 3.0, z: 1.0 } });
        harness.tick();
    }
    let said = said.lock().expect("whole").clone();
    (harness.world.state_hash(), said)
}

#[test]
fn systems_are_heard_in_their_order_and_run_the_same() {
    let (unheard, nothing) = some_ticks(false);
    assert_eq!(nothing, Vec::<String>::new());
    let (heard, said) = some_ticks(true);
    assert_eq!(heard, unheard, "listening changes nothing");
    let names = ["ecs::tests::steer", "ecs::tests::walk", "ecs::tests::suffer"];
    let tick: Vec<&str> = names.iter().flat_map(|name| ["begins", *name]).collect();
    assert_eq!(said, [tick.clone(), tick.clone(), tick].concat());
}

#[test]
fn nobody_is_heard_any_more_once_nobody_listens() {
    let mut harness = Harness::new(village);
    let said = Arc::new(Mutex::new(0));
    let heard = Arc::clone(&said);
    harness.world.listen_to_systems(Some(Box::new(move |_| *heard.lock().expect("whole") += 1)));
    harness.tick();
    let before = *said.lock().expect("whole");
    harness.world.listen_to_systems(None);
    harness.tick();
    assert_eq!((before, *said.lock().expect("whole")), (6, 6));
}
