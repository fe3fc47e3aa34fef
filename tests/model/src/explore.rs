//! Breadth first through every state that a model can be in.
//!
//! A state is known by a 64-bit fingerprint: among ten million states two that differ are taken for one with a chance of three
//! in a million. The first state that breaks a rule is found on a shortest way. When all states are known, each must have a way
//! without faults to a settled one, and each sight must have been seen, or the model proved nothing.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use rustc_hash::FxHashMap;

/// A protocol, its surroundings and its faults.
pub trait Model {
    /// Everything there is at one moment.
    type State: Clone + Hash + Debug;
    /// One thing that may happen.
    type Action: Clone + Debug;

    /// Where it begins.
    fn start(&self) -> Self::State;

    /// All that may happen.
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// What it leads to.
    fn step(&self, state: &Self::State, action: &Self::Action) -> Self::State;

    /// Whether it is a fault: what goes wrong must not be needed to get well.
    fn is_fault(&self, state: &Self::State, action: &Self::Action) -> bool;

    /// The rule that the state breaks, if it breaks one.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether nothing is left to do.
    fn is_settled(&self, state: &Self::State) -> bool;

    /// What must come to pass somewhere, in words, and whether it does here.
    fn sights(&self, state: &Self::State) -> Vec<(&'static str, bool)>;
}

/// How an exploration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every state was seen and none is wrong.
    Holds,
    /// A rule is broken; the way there.
    Broken {
        /// Which rule.
        rule: String,
        /// What happened, first to last.
        way: Vec<String>,
    },
    /// From a state on, only faults could lead to a settled one; the way there.
    Stuck {
        /// What happened, first to last.
        way: Vec<String>,
    },
    /// Something that must come to pass does not.
    Unseen(&'static str),
    /// More states than allowed: nothing is proved.
    TooLarge,
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// How it ended.
    pub verdict: Verdict,
    /// Different states.
    pub states: usize,
    /// Steps tried.
    pub steps: u64,
    /// Length of the longest shortest way.
    pub depth: u32,
    /// How long it took.
    pub time: Duration,
}

/// Where a state was come from first.
#[derive(Clone, Copy)]
struct Origin {
    from: u32,
    action: u32,
}

struct Exploration<'m, M: Model> {
    model: &'m M,
    known: FxHashMap<u64, u32>,
    origins: Vec<Origin>,
    settled: Vec<bool>,
    /// Steps without faults: from, to.
    steps: Vec<(u32, u32)>,
    seen: Vec<(&'static str, bool)>,
    tried: u64,
    depth: u32,
}

/// Explores a model that may have so many states. A machine that panics breaks a rule of its own.
pub fn explore<M: Model>(model: &M, states_max: usize, clock: impl Fn() -> Duration) -> Explored {
    let began = clock();
    let mut exploration = Exploration {
        model,
        known: FxHashMap::default(),
        origins: Vec::new(),
        settled: Vec::new(),
        steps: Vec::new(),
        seen: Vec::new(),
        tried: 0,
        depth: 0,
    };
    let verdict = panic::catch_unwind(AssertUnwindSafe(|| exploration.run(states_max)))
        .unwrap_or_else(|panic| Verdict::Broken { rule: format!("no panic: {}", panic_text(&*panic)), way: Vec::new() });
    let Exploration { origins, tried, depth, .. } = exploration;
    Explored { verdict, states: origins.len(), steps: tried, depth, time: clock().saturating_sub(began) }
}

impl<M: Model> Exploration<'_, M> {
    fn run(&mut self, states_max: usize) -> Verdict {
        let mut frontier = VecDeque::new();
        let start = self.model.start();
        self.learn(&start, Origin { from: 0, action: 0 });
        if let Some(rule) = self.model.broken(&start) {
            return Verdict::Broken { rule: rule.to_owned(), way: Vec::new() };
        }
        frontier.push_back((start, 0, 0));
        let mut actions = Vec::new();
        while let Some((state, number, depth)) = frontier.pop_front() {
            self.depth = depth;
            actions.clear();
            self.model.actions(&state, &mut actions);
            for (at, action) in actions.iter().enumerate() {
                self.tried += 1;
                let next = self.model.step(&state, action);
                let is_fault = self.model.is_fault(&state, action);
                let origin = Origin { from: number, action: at as u32 };
                let (to, is_new) = self.learn(&next, origin);
                if !is_fault && to != number {
                    self.steps.push((number, to));
                }
                if !is_new {
                    continue;
                }
                if let Some(rule) = self.model.broken(&next) {
                    self.depth = depth + 1;
                    return Verdict::Broken { rule: rule.to_owned(), way: self.way(to) };
                }
                if self.origins.len() > states_max {
                    return Verdict::TooLarge;
                }
                frontier.push_back((next, to, depth + 1));
            }
        }
        self.judge()
    }

    /// The state's number, and whether it is new.
    fn learn(&mut self, state: &M::State, origin: Origin) -> (u32, bool) {
        let next = self.origins.len() as u32;
        let number = *self.known.entry(fingerprint(state)).or_insert(next);
        if number == next {
            self.origins.push(origin);
            self.settled.push(self.model.is_settled(state));
            self.look(state);
        }
        (number, number == next)
    }

    fn look(&mut self, state: &M::State) {
        if self.seen.is_empty() {
            self.seen = self.model.sights(state);
        } else if self.seen.iter().any(|(_, seen)| !seen) {
            for (known, (_, now)) in self.seen.iter_mut().zip(self.model.sights(state)) {
                known.1 |= now;
            }
        }
    }

    /// All states are known.
    fn judge(&mut self) -> Verdict {
        if let Some((sight, _)) = self.seen.iter().find(|(_, seen)| !seen) {
            return Verdict::Unseen(sight);
        }
        match self.first_stuck() {
            Some(number) => Verdict::Stuck { way: self.way(number) },
            None => Verdict::Holds,
        }
    }

    /// The first state from which no way without faults leads to a settled one.
    fn first_stuck(&mut self) -> Option<u32> {
        let steps = std::mem::take(&mut self.steps);
        // Steps by where they lead: `starts[n]..starts[n + 1]` of `sources` lead to `n`.
        let mut starts = vec![0u32; self.origins.len() + 1];
        for (_, to) in &steps {
            starts[*to as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut free = starts.clone();
        let mut sources = vec![0u32; steps.len()];
        for (from, to) in steps {
            sources[free[to as usize] as usize] = from;
            free[to as usize] += 1;
        }
        let mut well = std::mem::take(&mut self.settled);
        let mut open: Vec<u32> = (0..well.len() as u32).filter(|number| well[*number as usize]).collect();
        while let Some(number) = open.pop() {
            for from in &sources[starts[number as usize] as usize..starts[number as usize + 1] as usize] {
                if !std::mem::replace(&mut well[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        well.iter().position(|well| !well).map(|number| number as u32)
    }

    /// What happened on the way to a state.
    fn way(&self, mut number: u32) -> Vec<String> {
        let mut numbers = Vec::new();
        while number != 0 {
            let origin = self.origins[number as usize];
            numbers.push(origin.action);
            number = origin.from;
        }
        let mut state = self.model.start();
        let mut way = Vec::new();
        for at in numbers.into_iter().rev() {
            let mut actions = Vec::new();
            self.model.actions(&state, &mut actions);
            let action = &actions[at as usize];
            way.push(format!("{action:?}"));
            state = self.model.step(&state, action);
        }
        way
    }
}

/// The name of a value among all that differ from it.
pub fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter modulo ten that a fault may put to a place without a way out.
    struct Counter {
        trap: bool,
        forbidden: Option<u8>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8),
        Fall,
    }

    impl Model for Counter {
        type State = u8;
        type Action = Step;

        fn start(&self) -> u8 {
            0
        }

        fn actions(&self, state: &u8, actions: &mut Vec<Step>) {
            if *state < 10 {
                actions.extend([Step::Add(1), Step::Add(3)]);
                if self.trap {
                    actions.push(Step::Fall);
                }
            }
        }

        fn step(&self, state: &u8, action: &Step) -> u8 {
            match action {
                Step::Add(count) => (state + count) % 10,
                Step::Fall => 99,
            }
        }

        fn is_fault(&self, _state: &u8, action: &Step) -> bool {
            matches!(action, Step::Fall)
        }

        fn broken(&self, state: &u8) -> Option<&'static str> {
            (Some(*state) == self.forbidden).then_some("forbidden")
        }

        fn is_settled(&self, state: &u8) -> bool {
            *state == 7
        }

        fn sights(&self, state: &u8) -> Vec<(&'static str, bool)> {
            vec![("nine", *state == 9), ("eleven or a trap", *state == 99 || !self.trap)]
        }
    }

    fn found(trap: bool, forbidden: Option<u8>) -> Explored {
        explore(&Counter { trap, forbidden }, 100, || Duration::ZERO)
    }

    #[test]
    fn every_state_is_seen_once() {
        let explored = found(false, None);
        assert_eq!((explored.verdict, explored.states, explored.steps), (Verdict::Holds, 10, 20));
    }

    #[test]
    fn a_broken_rule_comes_with_a_shortest_way() {
        let Verdict::Broken { rule, way } = found(false, Some(6)).verdict else { panic!("6 is reached") };
        assert_eq!((rule.as_str(), way.len()), ("forbidden", 2));
    }

    #[test]
    fn a_place_without_a_way_out_is_found_although_a_fault_leads_there() {
        assert_eq!(found(true, None).verdict, Verdict::Stuck { way: vec!["Fall".to_owned()] });
    }

    #[test]
    fn too_many_states_prove_nothing() {
        let explored = explore(&Counter { trap: false, forbidden: None }, 5, || Duration::ZERO);
        assert_eq!(explored.verdict, Verdict::TooLarge);
    }
}
