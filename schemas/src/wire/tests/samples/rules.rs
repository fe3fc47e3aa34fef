//! Samples of what designers set.

use super::Dice;
use crate::message::ScriptFault;
use crate::rules::{Book, Change, Rules, ScriptPast, ScriptRule, Source, TuneValue, Tuned};
use crate::{Tick, Timestamp};

impl Dice {
    pub(in crate::wire::tests) fn rules(&mut self) -> Rules {
        Rules { version: self.n(), from: Tick(self.n()), tunables: self.some(Self::tuned), scripts: self.some(Self::script_rule) }
    }

    pub(in crate::wire::tests) fn book(&mut self) -> Book {
        Book { rules: self.rules(), history: self.some(Self::change), pasts: self.some(Self::script_past) }
    }

    pub(in crate::wire::tests) fn script_fault(&mut self) -> ScriptFault {
        let (script, line, text, values) = (self.text(), self.small(), self.text(), self.text());
        ScriptFault { script, line, text, values, shard: self.shard(), tick: Tick(self.n()) }
    }

    fn script_rule(&mut self) -> ScriptRule {
        let source = Source::from(self.text().as_str());
        ScriptRule { name: self.text(), source, is_on: self.flag(), attempt: self.small() }
    }

    fn script_past(&mut self) -> ScriptPast {
        let [good, saved] = [self.text(), self.text()].map(|text| Source::from(text.as_str()));
        ScriptPast { name: self.text(), good, saved }
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
