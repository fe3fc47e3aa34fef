//! What bots did and suffered, by what they were told: proof that a run was one of people who trade, fight and cross borders.

use pangaea_schemas::registry::{Field, FieldType, Registry};
use pangaea_schemas::{EntityId, TypeId};
use serde::Serialize;

/// Counts of one bot, or of all of them. What a game has no events for stays zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deeds {
    /// Another shard runs the agent than before.
    pub crossings: u64,
    /// Those of them that led to another process.
    pub scene_changes: u64,
    /// Trades that were done, each counted by one of its two sides.
    pub trades: u64,
    /// Gold given to somebody.
    pub payments: u64,
    /// Blows that hit bots.
    pub blows: u64,
    /// Creatures and players laid down by bots.
    pub felled: u64,
}

impl Deeds {
    pub(crate) fn add(&mut self, other: Self) {
        self.crossings += other.crossings;
        self.scene_changes += other.scene_changes;
        self.trades += other.trades;
        self.payments += other.payments;
        self.blows += other.blows;
        self.felled += other.felled;
    }
}

/// The events that tell of deeds, found by name in a game's description.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    blow: Option<TypeId>,
    felled: Option<TypeId>,
    /// With the field that is 1 if it was done.
    paid: Option<(TypeId, Field)>,
    /// With the fields that name the other side, and the outcome: 0 if it was done.
    traded: Option<(TypeId, Field, Field)>,
}

impl News {
    pub(crate) fn of(registry: &Registry) -> Self {
        let event = |name: &str| registry.events.iter().find(|ty| ty.name == name);
        let field = |event_name: &str, name: &str, of: FieldType| {
            let ty = event(event_name)?;
            let field = ty.fields.iter().find(|field| field.name == name && field.ty == of)?;
            Some((ty.id, field.clone()))
        };
        let ended = field("trade_ended", "with", FieldType::Entity).zip(field("trade_ended", "outcome", FieldType::U64));
        Self {
            blow: event("hurt").map(|ty| ty.id),
            felled: event("won").map(|ty| ty.id),
            paid: field("paid", "done", FieldType::U64),
            traded: ended.map(|((id, with), (_, outcome))| (id, with, outcome)),
        }
    }

    /// Counts what the event tells to the client of `agent`.
    pub(crate) fn count(&self, deeds: &mut Deeds, agent: EntityId, id: TypeId, bytes: &[u8]) {
        let number = |field: &Field| {
            let at = usize::from(field.offset);
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        deeds.blows += u64::from(self.blow == Some(id));
        deeds.felled += u64::from(self.felled == Some(id));
        let paid = self.paid.as_ref().filter(|(paid, _)| *paid == id);
        deeds.payments += u64::from(paid.is_some_and(|(_, done)| number(done) == Some(1)));
        let ended = self.traded.as_ref().filter(|(ended, ..)| *ended == id);
        let is_mine = |(_, with, outcome): &(TypeId, Field, Field)| number(outcome) == Some(0) && number(with) > Some(agent.0);
        deeds.trades += u64::from(ended.is_some_and(is_mine));
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::registry::TypeInfo;

    use super::*;

    fn event(name: &str, fields: &[(&str, FieldType)]) -> TypeInfo {
        let field =
            |(at, (name, ty)): (u16, &(&str, FieldType))| Field { name: (*name).to_owned(), ty: *ty, offset: at * 8, length: 1 };
        let fields: Vec<Field> = (0..).zip(fields).map(field).collect();
        TypeInfo { id: TypeId::of(name), name: name.to_owned(), size: 8 * fields.len() as u16, fields }
    }

    fn told(name: &str, numbers: &[u64]) -> Deeds {
        let events = vec![
            event("hurt", &[]),
            event("won", &[]),
            event("paid", &[("to", FieldType::Entity), ("gold", FieldType::U64), ("done", FieldType::U64)]),
            event("trade_ended", &[("with", FieldType::Entity), ("outcome", FieldType::U64)]),
        ];
        let news = News::of(&Registry { events, ..Registry::default() });
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut deeds = Deeds::default();
        news.count(&mut deeds, EntityId(5), TypeId::of(name), &bytes);
        deeds
    }

    #[test]
    fn what_was_done_counts_and_what_was_only_tried_does_not() {
        let nothing = Deeds::default();
        assert_eq!(told("hurt", &[]), Deeds { blows: 1, ..nothing });
        assert_eq!(told("won", &[]), Deeds { felled: 1, ..nothing });
        assert_eq!(told("paid", &[9, 3, 1]), Deeds { payments: 1, ..nothing });
        assert_eq!(told("paid", &[9, 3, 0]), nothing, "too far away");
        assert_eq!(told("trade_ended", &[9, 0]), Deeds { trades: 1, ..nothing });
        assert_eq!(told("trade_ended", &[9, 3]), nothing, "called off");
        assert_eq!(told("trade_ended", &[4, 0]), nothing, "the other side counts it");
        assert_eq!(told("trade_ended", &[9]), nothing, "cut off");
        assert_eq!(told("weather", &[1]), nothing);
    }
}
