//! What `cargo test` can say of the models in seconds; `cargo model` explores them whole.

use std::time::Duration;

use pangaea_model::catalogue::{Hunter, SMALL, hunter};
use pangaea_model::explore::Verdict;
use pangaea_schemas::mutant::Mutant;

/// Of each model only the nearest states.
const STATES_MAX: usize = 2_000;

#[test]
fn no_model_breaks_a_rule_nearby() {
    for case in SMALL {
        let explored = case.explore(STATES_MAX, || Duration::ZERO);
        assert!(matches!(explored.verdict, Verdict::Holds | Verdict::TooLarge), "{case}: {:?}", explored.verdict);
        assert!(explored.states > 1_000, "{case} has only {} states", explored.states);
    }
}

#[test]
fn who_hunts_a_planted_bug_is_explored_without_it() {
    for mutant in Mutant::ALL {
        let Hunter::Model(case) = hunter(*mutant) else { continue };
        assert!(SMALL.iter().any(|small| small.to_string() == case.to_string()), "{mutant} is hunted by {case}");
    }
}
