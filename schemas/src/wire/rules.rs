//! What designers set in a running world: the fields of [`crate::rules`], spelled out once.

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, Vector, WIPOffset};

use super::WireError;
use super::codec::{At, Pack, Unpack, pack_bytes, wire_optional, wire_required, wire_table};
use crate::generated::node::rules::{self, TuneKind};
use crate::message::{FAULT_TEXT_BYTES_MAX, ScriptFault};
use crate::rules::{
    Book, CHANGES_KEPT_MAX, Change, Rules, SCRIPT_BYTES_MAX, SCRIPTS_MAX, ScriptPast, ScriptRule, Source, TUNABLES_MAX,
    TUNED_TEXT_BYTES_MAX, TuneValue, Tuned,
};

wire_table! { Rules = rules::{Rules, RulesArgs} { version, from, tunables <= TUNABLES_MAX, scripts <= SCRIPTS_MAX } }
wire_table! { ScriptRule = rules::{ScriptRule, ScriptRuleArgs} { name, source <= SCRIPT_BYTES_MAX, is_on, attempt } }
wire_table! { ScriptPast = rules::{ScriptPast, ScriptPastArgs} { name, good <= SCRIPT_BYTES_MAX, saved <= SCRIPT_BYTES_MAX } }
wire_table! { ScriptFault = rules::{ScriptFault, ScriptFaultArgs} { script, line, text <= FAULT_TEXT_BYTES_MAX, values <= FAULT_TEXT_BYTES_MAX, shard, tick } }
wire_table! { Change = rules::{Change, ChangeArgs} { version, at, by, why, name, before, after } }
wire_table! { Book = rules::{Book, BookArgs} { rules, history <= CHANGES_KEPT_MAX, pasts <= SCRIPTS_MAX } }
wire_optional! { Tuned }

impl<'b> Pack<'b> for Tuned {
    type Wire = WIPOffset<rules::Tuned<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let (kind, bits, text) = match &self.value {
            TuneValue::Int(value) => (TuneKind::Int, value.cast_unsigned(), None),
            TuneValue::Float(value) => (TuneKind::Float, value.to_bits(), None),
            TuneValue::Flag(value) => (TuneKind::Flag, u64::from(*value), None),
            TuneValue::Text(value) => (TuneKind::Text, 0, Some(value.pack(b))),
        };
        let name = Some(self.name.pack(b));
        rules::Tuned::create(b, &rules::TunedArgs { name, kind, bits, text })
    }
}

impl<'a> Unpack<rules::Tuned<'a>> for Tuned {
    fn unpack(wire: rules::Tuned<'a>, at: At<'_>) -> Result<Self, WireError> {
        let value = match (wire.kind(), wire.bits()) {
            (TuneKind::Int, bits) => TuneValue::Int(bits.cast_signed()),
            (TuneKind::Float, bits) => TuneValue::Float(f64::from_bits(bits)),
            (TuneKind::Flag, bits @ 0..=1) => TuneValue::Flag(bits == 1),
            (TuneKind::Flag, bits) => return Err(at.field("bits").impossible(bits)),
            (TuneKind::Text, _) => TuneValue::Text(String::unpack(wire.text(), at.field("text").at_most(TUNED_TEXT_BYTES_MAX))?),
            (kind, _) => return Err(at.field("kind").impossible(kind.0)),
        };
        Ok(Self { name: String::unpack(wire.name(), at.field("name"))?, value })
    }
}

wire_required! { Tuned = rules::Tuned<'a> }

/// As bytes: texts of the wire are short.
impl<'b> Pack<'b> for Source {
    type Wire = WIPOffset<Vector<'b, u8>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        pack_bytes(self.as_bytes(), b)
    }
}

impl<'a> Unpack<Option<Vector<'a, u8>>> for Source {
    fn unpack(wire: Option<Vector<'a, u8>>, at: At<'_>) -> Result<Self, WireError> {
        let bytes = Bytes::unpack(wire, at)?;
        std::str::from_utf8(&bytes).map(Self::from).map_err(|error| at.impossible(error.valid_up_to() as u64))
    }
}
