//! Samples of what designers set.

use super::Dice;
use crate::rules::{Book, Change, Rules, TuneValue, Tuned};
use crate::{Tick, Timestamp};

impl Dice {
    pub(in crate::wire::tests) fn rules(&mut self) -> Rules {
        Rules { version: self.n(), from: Tick(self.n()), tunables: self.some(Self::tuned) }
    }

    pub(in crate::wire::tests) fn book(&mut self) -> Book {
        Book { rules: self.rules(), history: self.some(Self::change) }
    }

    fn change(&mut self) -> Change {
        Change {
            version: self.n(),
            at: Timestamp(self.n()),
            by: self.text(),
            why: self.text(),
            name: self.text(),
            before: self.flag().then(|| self.tuned()),
            after: self.flag().then(|| self.tuned()),
        }
    }

    fn tuned(&mut self) -> Tuned {
        let value = match self.below(4) {
            0 => TuneValue::Int(self.n().cast_signed()),
            1 => TuneValue::Float(self.n() as f64),
            2 => TuneValue::Flag(self.flag()),
            _ => TuneValue::Text(self.text()),
        };
        Tuned { name: self.text(), value }
    }
}
