//! What a game lets its clients do and see, read from the description in `Welcome`: types and fields found by name.

use bytes::Bytes;
use pangaea_schemas::registry::{Field, FieldType, Registry, TypeInfo};
use pangaea_schemas::{EntityId, TypeId};

use crate::deeds::News;
use crate::vitals::Belongings;

/// The parts of a game that bots know how to use; what a game does not have is not used.
#[derive(Clone, Debug)]
pub(crate) struct Abilities {
    walk: Option<Walk>,
    attack: Option<(TypeInfo, Field)>,
    pick_up: Option<(TypeInfo, Field)>,
    chat: Option<(TypeInfo, Field)>,
    pay: Option<Deal>,
    trade_offer: Option<Deal>,
    trade_accept: Option<(TypeInfo, Field)>,
    trade_offered: Option<(TypeId, Field)>,
    /// Component that marks players.
    pub(crate) player: Option<TypeId>,
    /// Component that marks who can be hit.
    pub(crate) health: Option<TypeId>,
    /// Component that marks what can be picked up.
    pub(crate) item: Option<TypeId>,
    pace: Option<(TypeId, Field)>,
    holdings: Option<Holdings>,
    pub(crate) news: News,
}

/// An input with which gold changes hands.
#[derive(Clone, Debug)]
struct Deal {
    ty: TypeInfo,
    to: Field,
    give: Field,
    /// Of those that want something in return.
    want: Option<Field>,
}

/// The event that tells what the own agent owns.
#[derive(Clone, Debug)]
struct Holdings {
    id: TypeId,
    gold: Field,
    count: Field,
    items: Field,
    version: Option<Field>,
}

#[derive(Clone, Debug)]
struct Walk {
    ty: TypeInfo,
    dx: Field,
    dz: Field,
}

impl Abilities {
    pub(crate) fn of(registry: &Registry) -> Self {
        let input = |name: &str, field: &str, of: FieldType| {
            let ty = named(&registry.inputs, name)?;
            Some((ty.clone(), of_type(ty, field, of)?))
        };
        let component = |name: &str| named(&registry.components, name).map(|ty| ty.id);
        let walk = named(&registry.inputs, "move").and_then(|ty| {
            let (dx, dz) = (of_type(ty, "dx", FieldType::I8)?, of_type(ty, "dz", FieldType::I8)?);
            Some(Walk { ty: ty.clone(), dx, dz })
        });
        let deal = |name: &str, give: &str| {
            let ty = named(&registry.inputs, name)?;
            let (to, give) = (of_type(ty, "to", FieldType::Entity)?, of_type(ty, give, FieldType::U64)?);
            Some(Deal { ty: ty.clone(), to, give, want: of_type(ty, "want_gold", FieldType::U64) })
        };
        let pace = named(&registry.components, "pace");
        Self {
            walk,
            attack: input("attack", "target", FieldType::Entity),
            pick_up: input("pick_up", "item", FieldType::Entity),
            chat: input("chat", "text", FieldType::Text),
            pay: deal("pay", "gold"),
            trade_offer: deal("trade_offer", "give_gold"),
            trade_accept: input("trade_accept", "from", FieldType::Entity),
            trade_offered: named(&registry.events, "trade_offered")
                .and_then(|ty| Some((ty.id, of_type(ty, "from", FieldType::Entity)?))),
            news: News::of(registry),
            player: component("player"),
            health: component("health"),
            item: component("item"),
            holdings: named(&registry.events, "holdings").and_then(|ty| {
                let number = |name| of_type(ty, name, FieldType::U64);
                let items = of_type(ty, "items", FieldType::Entity)?;
                Some(Holdings { id: ty.id, gold: number("gold")?, count: number("count")?, items, version: number("version") })
            }),
            pace: pace.and_then(|ty| Some((ty.id, of_type(ty, "metres_per_s", FieldType::F32)?))),
        }
    }

    /// One step in 1/127 of full speed.
    pub(crate) fn walk(&self, dx: i8, dz: i8) -> Option<(TypeId, Bytes)> {
        let walk = self.walk.as_ref()?;
        let mut bytes = vec![0; usize::from(walk.ty.size)];
        put(&mut bytes, &walk.dx, &dx.to_le_bytes());
        put(&mut bytes, &walk.dz, &dz.to_le_bytes());
        Some((walk.ty.id, bytes.into()))
    }

    pub(crate) fn attack(&self, target: EntityId) -> Option<(TypeId, Bytes)> {
        filled(self.attack.as_ref()?, &target.0.to_le_bytes())
    }

    pub(crate) fn pick_up(&self, item: EntityId) -> Option<(TypeId, Bytes)> {
        filled(self.pick_up.as_ref()?, &item.0.to_le_bytes())
    }

    /// Gold to someone near.
    pub(crate) fn pay(&self, to: EntityId, gold: u64) -> Option<(TypeId, Bytes)> {
        Some(self.pay.as_ref()?.filled(to, gold, 0))
    }

    /// Gold for gold to someone near.
    pub(crate) fn offer(&self, to: EntityId, give: u64, want: u64) -> Option<(TypeId, Bytes)> {
        Some(self.trade_offer.as_ref()?.filled(to, give, want))
    }

    pub(crate) fn accept(&self, from: EntityId) -> Option<(TypeId, Bytes)> {
        filled(self.trade_accept.as_ref()?, &from.0.to_le_bytes())
    }

    /// Who offers a trade, if this is the event that says so.
    pub(crate) fn offered(&self, id: TypeId, bytes: &[u8]) -> Option<EntityId> {
        let (_, from) = self.trade_offered.as_ref().filter(|(offered, _)| *offered == id)?;
        let at = usize::from(from.offset);
        Some(EntityId(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)))
    }

    /// Words to whoever is near: the game's first channel is 0.
    pub(crate) fn chat(&self, text: &str) -> Option<(TypeId, Bytes)> {
        filled(self.chat.as_ref()?, text.as_bytes())
    }

    /// What the own agent owns, if this is the event that says so.
    pub(crate) fn belongings(&self, id: TypeId, bytes: &[u8]) -> Option<Belongings> {
        let holdings = self.holdings.as_ref().filter(|holdings| holdings.id == id)?;
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let field = |field: &Field| number(usize::from(field.offset));
        let slot = |n: usize| number(usize::from(holdings.items.offset) + n * 8).map(EntityId);
        let items = (0..usize::from(holdings.items.length.max(1))).filter_map(slot).filter(|item| item.is_some());
        Some(Belongings {
            version: holdings.version.as_ref().and_then(field),
            gold: field(&holdings.gold)?,
            count: field(&holdings.count)?,
            items: items.collect(),
        })
    }

    /// Full speed in m/s, if these are the bytes of the component that says so.
    pub(crate) fn pace(&self, id: TypeId, bytes: &[u8]) -> Option<f32> {
        let (_, field) = self.pace.as_ref().filter(|(pace, _)| *pace == id)?;
        let at = usize::from(field.offset);
        Some(f32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    }
}

impl Deal {
    fn filled(&self, to: EntityId, give: u64, want: u64) -> (TypeId, Bytes) {
        let mut bytes = vec![0; usize::from(self.ty.size)];
        put(&mut bytes, &self.to, &to.0.to_le_bytes());
        put(&mut bytes, &self.give, &give.to_le_bytes());
        if let Some(field) = &self.want {
            put(&mut bytes, field, &want.to_le_bytes());
        }
        (self.ty.id, bytes.into())
    }
}

fn named<'t>(types: &'t [TypeInfo], name: &str) -> Option<&'t TypeInfo> {
    types.iter().find(|ty| ty.name == name)
}

fn of_type(ty: &TypeInfo, name: &str, of: FieldType) -> Option<Field> {
    ty.fields.iter().find(|field| field.name == name && field.ty == of).cloned()
}

fn filled((ty, field): &(TypeInfo, Field), value: &[u8]) -> Option<(TypeId, Bytes)> {
    let mut bytes = vec![0; usize::from(ty.size)];
    put(&mut bytes, field, value);
    Some((ty.id, bytes.into()))
}

/// Write a value into its field; what does not fit is cut off.
fn put(bytes: &mut [u8], field: &Field, value: &[u8]) {
    let room = field.ty.size() * usize::from(field.length.max(1));
    let length = value.len().min(room);
    let at = usize::from(field.offset);
    if let Some(place) = bytes.get_mut(at..at + length) {
        place.copy_from_slice(&value[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, ty: FieldType, offset: u16, length: u16) -> Field {
        Field { name: name.to_owned(), ty, offset, length }
    }

    #[test]
    fn gold_is_offered_by_the_description() {
        let fields = vec![
            field("want_gold", FieldType::U64, 0, 1),
            field("to", FieldType::Entity, 8, 1),
            field("give_gold", FieldType::U64, 16, 1),
        ];
        let ty = TypeInfo { id: TypeId::of("trade_offer"), name: "trade_offer".to_owned(), size: 24, fields };
        let abilities = Abilities::of(&Registry { inputs: vec![ty], ..Registry::default() });
        let (_, bytes) = abilities.offer(EntityId(9), 2, 1).expect("it can");
        assert_eq!((bytes[0], bytes[8], bytes[16], bytes.len()), (1, 9, 2, 24));
        assert_eq!(abilities.pay(EntityId(9), 1), None);
    }

    #[test]
    fn inputs_are_written_by_the_description() {
        let walk = vec![field("dz", FieldType::I8, 0, 1), field("dx", FieldType::I8, 1, 1)];
        let chat = vec![field("channel", FieldType::U8, 0, 1), field("text", FieldType::Text, 1, 4)];
        let ty = |name: &str, size, fields| TypeInfo { id: TypeId::of(name), name: name.to_owned(), size, fields };
        let registry = Registry { inputs: vec![ty("move", 2, walk), ty("chat", 5, chat)], ..Registry::default() };
        let abilities = Abilities::of(&registry);
        assert_eq!(abilities.walk(-3, 4), Some((TypeId::of("move"), Bytes::from_static(&[4, 253]))));
        assert_eq!(abilities.chat("hello"), Some((TypeId::of("chat"), Bytes::from_static(b"\0hell"))));
        assert_eq!(abilities.attack(EntityId(1)), None, "a game without attacks is left in peace");
    }
}
