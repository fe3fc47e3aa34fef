//! Every message comes back as it went; whatever else arrives is refused in order, never with a panic.

pub(super) mod samples;

use bytes::Bytes;
use proptest::prelude::*;

use super::client::{FromServer, decode_client, decode_server, encode_client, encode_server};
use super::link::{LINK_PROTOCOL, LinkMessage, LinkPolicy};
use super::stored::Stored;
use super::update::{Update, UpdateWriter};
use super::{WireError, decode, encode, link};
use crate::client::{ClientMessage, INPUTS_MAX, Input, NAME_BYTES_MAX};
use crate::frame::FrameLimit;
use crate::journal::Entry;
use crate::message::{BeaconRequest, Credentials, KEY_BYTES_MAX, Message, NodeInfo, ShardRoute};
use crate::record::Record;
use crate::recording::{RecordedTick, RecordingEnd, RecordingHead, RecordingPart};
use crate::registry::Dialect;
use crate::rules::Book;
use crate::{InSeq, NodeId, Nonce, OutSeq, RequestId, Role, TypeId};

/// Decoding must return, whatever the bytes.
fn survives(decoders: &[fn(&Bytes) -> bool], bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    for decoder in decoders {
        decoder(&bytes);
    }
}

const DECODERS: &[fn(&Bytes) -> bool] = &[
    |b| decode(b).is_ok(),
    |b| link::decode(b).is_ok(),
    |b| decode_client(b).is_ok(),
    |b| decode_server(b).is_ok(),
    |b| Entry::from_stored(b).is_ok(),
    |b| Record::from_stored(b).is_ok(),
    |b| NodeInfo::from_stored(b).is_ok(),
    |b| Book::from_stored(b).is_ok(),
    |b| RecordedTick::from_stored(b).is_ok(),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        survives(DECODERS, &bytes);
    }

    #[test]
    fn records_and_entries_round_trip(seed: u64) {
        let mut dice = samples::Dice::new(seed);
        let record = dice.record();
        prop_assert_eq!(Record::from_stored(&record.to_stored()), Ok(record));
        let book = dice.book();
        prop_assert_eq!(Book::from_stored(&book.to_stored()), Ok(book));
        let entry = dice.entry();
        prop_assert_eq!(Entry::from_stored(&entry.to_stored()), Ok(entry));
    }

    #[test]
    fn recordings_round_trip_and_survive_damage(seed: u64, at: prop::sample::Index, bit in 0u8..8) {
        let mut dice = samples::Dice::new(seed);
        let (head, part, end) = (dice.recording_head(), dice.recording_part(), dice.recording_end());
        prop_assert_eq!(RecordingHead::from_stored(&head.to_stored()), Ok(head));
        prop_assert_eq!(RecordingPart::from_stored(&part.to_stored()), Ok(part));
        prop_assert_eq!(RecordingEnd::from_stored(&end.to_stored()), Ok(end));
        let tick = dice.recorded_tick();
        let good = tick.to_stored();
        prop_assert_eq!(RecordedTick::from_stored(&good), Ok(tick));
        let mut flipped = good.to_vec();
        flipped[at.index(good.len())] ^= 1 << bit;
        survives(DECODERS, &flipped);
        survives(DECODERS, &good[..at.index(good.len())]);
    }

    #[test]
    fn every_node_message_round_trips(seed: u64) {
        for message in samples::Dice::new(seed).every_message() {
            prop_assert_eq!(decode(&encode(&message)), Ok(message));
        }
    }

    #[test]
    fn damaged_node_messages_are_refused_or_read_as_something_else(seed: u64, at: prop::sample::Index, bit in 0u8..8) {
        for message in samples::Dice::new(seed).every_message() {
            let good = encode(&message);
            let mut flipped = good.to_vec();
            flipped[at.index(good.len())] ^= 1 << bit;
            survives(&DECODERS[..1], &flipped);
            survives(&DECODERS[..1], &good[..at.index(good.len())]);
        }
    }

    #[test]
    fn every_client_message_round_trips_and_survives_damage(seed: u64, at: prop::sample::Index, bit in 0u8..8) {
        let mut dice = samples::Dice::new(seed);
        for message in dice.every_client_message() {
            let good = encode_client(&message);
            prop_assert_eq!(decode_client(&good), Ok(message));
            let mut flipped = good.to_vec();
            flipped[at.index(good.len())] ^= 1 << bit;
            survives(DECODERS, &flipped);
            survives(DECODERS, &good[..at.index(good.len())]);
        }
    }

    #[test]
    fn every_server_message_round_trips_and_survives_damage(seed: u64, at: prop::sample::Index, bit in 0u8..8) {
        let mut dice = samples::Dice::new(seed);
        for message in dice.every_server_message() {
            let good = encode_server(&message);
            prop_assert_eq!(decode_server(&good), Ok(FromServer::Message(message)));
            let mut flipped = good.to_vec();
            flipped[at.index(good.len())] ^= 1 << bit;
            survives(DECODERS, &flipped);
            survives(DECODERS, &good[..at.index(good.len())]);
        }
    }

    #[test]
    fn updates_round_trip_and_survive_damage(seed: u64, at: prop::sample::Index, bit in 0u8..8) {
        let update = samples::Dice::new(seed).update();
        let good = write_update(&update);
        prop_assert_eq!(decode_server(&good), Ok(FromServer::Update(update)));
        let mut flipped = good.to_vec();
        flipped[at.index(good.len())] ^= 1 << bit;
        survives(DECODERS, &flipped);
        survives(DECODERS, &good[..at.index(good.len())]);
    }
}

fn write_update(update: &Update) -> Bytes {
    let mut writer = UpdateWriter::default();
    update.left.iter().for_each(|slot| writer.left(*slot));
    update.entered.iter().for_each(|e| writer.entered(e.slot, e.entity, e.course, e.components.iter()));
    update.moved.iter().for_each(|(slot, course)| writer.moved(*slot, *course));
    update.changed.iter().for_each(|(slot, components)| writer.changed(*slot, components.iter()));
    writer.finish(&update.head)
}

/// How many variants occur.
fn kinds<T>(samples: &[T]) -> usize {
    let mut seen = Vec::new();
    for kind in samples.iter().map(std::mem::discriminant) {
        if !seen.contains(&kind) {
            seen.push(kind);
        }
    }
    seen.len()
}

/// The unions of the schemas tell how many there are, "none" not counted: a new message without a sample fails here.
#[test]
fn the_samples_hold_every_variant() {
    use crate::generated::node::*;
    use crate::generated::{client, node, record};
    let mut d = samples::Dice::new(1);
    let table = [
        ("messages", kinds(&d.every_message()), node::NodeBody::ENUM_VALUES.len()),
        ("beacon requests", kinds(&d.beacon_requests()), beacon::BeaconRequestBody::ENUM_VALUES.len()),
        ("beacon replies", kinds(&d.beacon_replies()), beacon::BeaconReplyBody::ENUM_VALUES.len()),
        ("bus requests", kinds(&d.bus_requests()), bus::BusRequestBody::ENUM_VALUES.len()),
        ("shard operations", kinds(&d.shard_ops()), record::ShardOpBody::ENUM_VALUES.len()),
        ("journal requests", kinds(&d.journal_requests()), journal::JournalRequestBody::ENUM_VALUES.len()),
        ("journal replies", kinds(&d.journal_replies()), journal::JournalReplyBody::ENUM_VALUES.len()),
        ("blob requests", kinds(&d.blob_requests()), blobs::BlobRequestBody::ENUM_VALUES.len()),
        ("blob replies", kinds(&d.blob_replies()), blobs::BlobReplyBody::ENUM_VALUES.len()),
        ("transactions", kinds(&d.transactions()), ledger::TransactionBody::ENUM_VALUES.len()),
        ("trade steps", kinds(&d.trade_steps()), trade::TradeStepBody::ENUM_VALUES.len()),
        ("trade states", kinds(&d.trade_states()), trade::TradeStateBody::ENUM_VALUES.len()),
        ("ledger results", kinds(&d.ledger_results()), ledger::LedgerResultBody::ENUM_VALUES.len()),
        ("table operations", kinds(&d.table_ops()), tables::TableOpBody::ENUM_VALUES.len()),
        ("table replies", kinds(&d.table_replies()), tables::TableReplyBody::ENUM_VALUES.len()),
        ("credentials", kinds(&d.credentials()), auth::CredentialsBody::ENUM_VALUES.len()),
        ("auth replies", kinds(&d.auth_replies()), auth::AuthReplyBody::ENUM_VALUES.len()),
        ("control", kinds(&d.controls()), control::ControlBody::ENUM_VALUES.len()),
        ("directory", kinds(&d.directories()), directory::DirectoryBody::ENUM_VALUES.len()),
        ("feed", kinds(&d.feeds()), feed::FeedBody::ENUM_VALUES.len()),
        ("attach refusals", kinds(&d.attach_refusals()), attach::AttachRefusalBody::ENUM_VALUES.len()),
        ("session", kinds(&d.sessions()), session::SessionBody::ENUM_VALUES.len()),
        ("hand-over", kinds(&d.handovers()), handover::HandoverBody::ENUM_VALUES.len()),
        ("migration", kinds(&d.migrations()), migration::MigrationBody::ENUM_VALUES.len()),
        ("desk", kinds(&d.desks()), desk::DeskBody::ENUM_VALUES.len()),
        ("effects", kinds(&d.effects()), effects::EffectMessageBody::ENUM_VALUES.len()),
        // Login and Guest are one variant.
        ("client messages", kinds(&d.every_client_message()) + 1, client::ClientBody::ENUM_VALUES.len()),
        ("server messages", kinds(&d.every_server_message()), client::ServerBody::ENUM_VALUES.len()),
    ];
    for (what, sampled, with_none) in table {
        assert_eq!(sampled + 1, with_none, "{what}");
    }
}

#[test]
fn large_bytes_share_the_frame_and_small_ones_do_not_keep_it() {
    let blob = |len| crate::message::BlobReply::Value { request: RequestId(1), bytes: Some(Bytes::from(vec![7; len])) };
    let shares = |len| {
        let frame = encode(&Message::BlobReply(blob(len)));
        let range = frame.as_ptr_range();
        let Ok(Message::BlobReply(crate::message::BlobReply::Value { bytes: Some(bytes), .. })) = decode(&frame) else {
            panic!("a blob came back as something else");
        };
        assert_eq!(bytes.len(), len);
        range.contains(&bytes.as_ptr())
    };
    assert!(shares(100_000));
    assert!(!shares(100));
}

#[test]
fn texts_and_lists_over_their_bounds_are_named() {
    let long = Message::BeaconRequest(BeaconRequest::Watch { prefix: "p".repeat(KEY_BYTES_MAX + 1) });
    let error = decode(&encode(&long)).unwrap_err();
    assert_eq!(error.to_string(), "`prefix` has 129 bytes or elements, but at most 128 are allowed");

    let guest = ClientMessage::Login(Credentials::Guest { name: "n".repeat(NAME_BYTES_MAX + 1) });
    assert!(matches!(decode_client(&encode_client(&guest)), Err(WireError::TooLong { field: "name", length: 65, max: 64 })));

    let input = Input { seq: InSeq(1), id: TypeId(2), bytes: Bytes::from_static(&[1]) };
    let flood = ClientMessage::Inputs { inputs: vec![input; INPUTS_MAX + 1], out_ack: OutSeq(0) };
    assert!(matches!(decode_client(&encode_client(&flood)), Err(WireError::TooLong { field: "inputs", .. })));
}

#[test]
fn a_client_that_sends_hundreds_of_tables_is_refused_by_the_verifier() {
    let input = Input { seq: InSeq(1), id: TypeId(2), bytes: Bytes::new() };
    let flood = ClientMessage::Inputs { inputs: vec![input; 300], out_ack: OutSeq(0) };
    let bytes = encode_client(&flood);
    assert!(bytes.len() < FrameLimit::Playing.bytes_max());
    assert!(matches!(decode_client(&bytes), Err(WireError::Malformed(_))));
}

#[test]
fn the_fullest_allowed_inputs_fit_the_verifiers_limits() {
    let input = Input { seq: InSeq(1), id: TypeId(2), bytes: Bytes::from(vec![9; 200]) };
    let full = ClientMessage::Inputs { inputs: vec![input; INPUTS_MAX], out_ack: OutSeq(0) };
    let bytes = encode_client(&full);
    assert!(bytes.len() < FrameLimit::Playing.bytes_max(), "{}", bytes.len());
    assert_eq!(decode_client(&bytes), Ok(full));
}

#[test]
fn a_shards_largest_image_part_fits_the_limits_of_a_link() {
    let mut dice = samples::Dice::new(3);
    let image = crate::message::ShardImage { records: (0..4_000).map(|_| dice.record()).collect(), ..dice.image() };
    let reply =
        crate::message::JournalReply::Image { request: RequestId(1), shard: dice.shard(), part: Box::new(image), last: true };
    let message = Message::JournalReply(reply);
    let bytes = encode(&message);
    assert!(FrameLimit::Node.check(bytes.len()).is_ok());
    assert_eq!(decode(&bytes), Ok(message));
}

#[test]
fn impossible_ids_are_refused_by_name() {
    let route = samples::Dice::new(5).route();
    let mut bytes = route.to_stored().to_vec();
    let shard = route.shard.to_bits().to_le_bytes();
    let at = bytes.windows(8).position(|w| w == shard).expect("the shard's bits are in the bytes");
    bytes[at + 4] = 99; // a level that cannot exist
    assert!(matches!(ShardRoute::from_stored(&bytes.into()), Err(WireError::Impossible { field: "shard", .. })));
}

#[test]
fn stored_bytes_of_another_kind_or_version_are_refused_in_words() {
    let route = samples::Dice::new(5).route();
    let error = Entry::from_stored(&route.to_stored()).unwrap_err();
    assert!(error.to_string().starts_with("stored bytes begin with [52, 4f, 55, 01]; expected [45, 4e, 54, 04]"), "{error}");
    let mut newer = route.to_stored().to_vec();
    newer[3] = 2;
    assert!(matches!(ShardRoute::from_stored(&newer.into()), Err(WireError::Form { .. })));
    assert!(matches!(Record::from_stored(&Bytes::new()), Err(WireError::Form { found: [0, 0, 0, 0], .. })));
}

/// Of a game with these components, each made of one line.
fn dialect(types: &[(&str, &str)]) -> Dialect {
    let types: Vec<_> = types.iter().map(|(name, line)| (TypeId::of(name), [(*line).to_owned()])).collect();
    Dialect::of(types.iter().map(|(id, lines)| ("component", *id, &lines[..])))
}

const GAME: [(&str, &str); 2] = [("health", "now: F32 at 0"), ("look", "hue: U8 at 0")];

fn hello(cluster: &str, protocol: u32, types: &[(&str, &str)]) -> LinkMessage {
    let node = NodeId::new(Role::Scene, 2);
    LinkMessage::Hello { protocol, cluster: cluster.to_owned(), node, nonce: Nonce(u128::MAX - 5), dialect: dialect(types) }
}

#[test]
fn link_messages_round_trip() {
    let node = NodeId::new(Role::World, 1);
    for message in [
        hello("demo", LINK_PROTOCOL, &GAME),
        LinkMessage::Welcome { node, nonce: Nonce(3) },
        LinkMessage::Refused { text: "no".to_owned() },
    ] {
        assert_eq!(link::decode(&link::encode(&message)), Ok(message));
    }
}

#[test]
fn a_node_of_another_world_is_refused_in_words() {
    let policy = LinkPolicy { cluster: "demo".to_owned(), node: NodeId::new(Role::Gateway, 1), dialect: dialect(&GAME) };
    let refusal = |first: &LinkMessage| policy.admit(first).unwrap_err().to_string();
    assert_eq!(policy.admit(&hello("demo", LINK_PROTOCOL, &GAME)), Ok((NodeId::new(Role::Scene, 2), Nonce(u128::MAX - 5))));
    assert!(policy.admit(&hello("demo", LINK_PROTOCOL, &[])).is_ok(), "a role that knows no game");
    let more = [GAME[1], GAME[0], ("mileage", "metres: F32 at 0")];
    assert!(policy.admit(&hello("demo", LINK_PROTOCOL, &more)).is_ok(), "a build with a component more, in another order");
    assert_eq!(
        refusal(&hello("demo", 9, &GAME)),
        "scene-2 speaks node protocol 9, gateway-1 speaks 6: run the same build on both"
    );
    assert_eq!(
        refusal(&hello("prod", LINK_PROTOCOL, &GAME)),
        "scene-2 belongs to cluster `prod`, gateway-1 to `demo`: check the address or the cluster's name"
    );
    assert_eq!(
        refusal(&hello("demo", LINK_PROTOCOL, &[GAME[0], ("look", "hue: U16 at 0")])),
        "scene-2 and gateway-1 run builds of which 1 types have the same name and other fields: run the same build on both, or one \
         that `pangaea deploy --dry-run` takes"
    );
    assert_eq!(
        refusal(&LinkMessage::Refused { text: String::new() }),
        "gateway-1 expected a Hello as the first message of a link"
    );
}
