//! Tables and blobs: rows against revisions, blobs whole or not at all.

use bytes::Bytes;
use pangaea_persistence::{Data, MemoryStore};
use pangaea_schemas::message::{BLOB_BYTES_MAX, BlobReply, BlobRequest, Message, Table, TableOp, TableReply, TableRequest};
use pangaea_schemas::{RequestId, Revision};

use crate::fixture::*;

const ASK: RequestId = RequestId(3);

fn table(data: &mut Data<MemoryStore>, table: Table, key: &str, op: TableOp) -> TableReply {
    match ask(data, Message::TableRequest(TableRequest { request: ASK, table, key: key.to_owned(), op })) {
        Message::TableReply(reply) => reply,
        other => panic!("not from a table: {other:?}"),
    }
}

fn put(data: &mut Data<MemoryStore>, key: &str, expected: u64, value: &'static str) -> TableReply {
    let op = TableOp::PutIf { expected: Revision(expected), value: Bytes::from_static(value.as_bytes()) };
    table(data, Table::Accounts, key, op)
}

fn done(revision: u64) -> TableReply {
    TableReply::Done { request: ASK, revision: Revision(revision) }
}

fn conflict(current: u64) -> TableReply {
    TableReply::Conflict { request: ASK, current: Revision(current) }
}

fn blob(data: &mut Data<MemoryStore>, request: BlobRequest) -> BlobReply {
    match ask(data, Message::BlobRequest(request)) {
        Message::BlobReply(reply) => reply,
        other => panic!("not about a blob: {other:?}"),
    }
}

fn put_blob(data: &mut Data<MemoryStore>, name: &str, bytes: Bytes) -> BlobReply {
    blob(data, BlobRequest::Put { request: ASK, name: name.to_owned(), bytes })
}

fn get_blob(data: &mut Data<MemoryStore>, name: &str) -> Option<Bytes> {
    match blob(data, BlobRequest::Get { request: ASK, name: name.to_owned() }) {
        BlobReply::Value { bytes, .. } => bytes,
        other => panic!("no value: {other:?}"),
    }
}

#[test]
fn a_row_changes_only_from_the_revision_that_was_seen() {
    let mut data = node();
    assert_eq!(put(&mut data, "ann", 0, "a"), done(1));
    assert_eq!(put(&mut data, "ann", 0, "b"), conflict(1), "it exists");
    assert_eq!(put(&mut data, "ann", 1, "b"), done(2));
    assert_eq!(put(&mut data, "ann", 1, "c"), conflict(2));
    assert_eq!(put(&mut data, "bob", 5, "c"), conflict(0));
    let row = table(&mut data, Table::Accounts, "ann", TableOp::Get);
    assert_eq!(row, TableReply::Row { request: ASK, revision: Revision(2), value: Some("b".into()) });
    let other = table(&mut data, Table::Settings, "ann", TableOp::Get);
    assert_eq!(other, TableReply::Row { request: ASK, revision: Revision::ZERO, value: None }, "tables are apart");
}

#[test]
fn a_row_made_again_never_has_an_old_revision() {
    let mut data = node();
    put(&mut data, "ann", 0, "a");
    let delete = |expected| TableOp::DeleteIf { expected: Revision(expected) };
    assert_eq!(table(&mut data, Table::Accounts, "ann", delete(9)), conflict(1));
    assert_eq!(table(&mut data, Table::Accounts, "ann", delete(1)), done(2));
    assert_eq!(put(&mut data, "ann", 0, "a"), done(3));
}

#[test]
fn rows_are_listed_by_prefix_in_order() {
    let mut data = node();
    for key in ["b", "ab", "a", "ac"] {
        put(&mut data, key, 0, "v");
    }
    let listed = |data: &mut _, prefix, limit| match table(data, Table::Accounts, prefix, TableOp::List { limit }) {
        TableReply::Rows { rows, .. } => rows.into_iter().map(|(key, ..)| key).collect::<Vec<_>>().join(" "),
        other => panic!("no rows: {other:?}"),
    };
    assert_eq!(listed(&mut data, "", 9), "a ab ac b");
    assert_eq!(listed(&mut data, "a", 9), "a ab ac");
    assert_eq!(listed(&mut data, "a", 2), "a ab");
    assert_eq!(listed(&mut data, "z", 9), "");
}

#[test]
fn keys_and_names_have_bounds() {
    let mut data = node();
    let long = "x".repeat(600);
    assert!(matches!(put(&mut data, &long, 0, "v"), TableReply::Failed { .. }));
    assert!(matches!(put_blob(&mut data, &long, Bytes::new()), BlobReply::Failed { .. }));
    assert!(matches!(put_blob(&mut data, "", Bytes::new()), BlobReply::Failed { .. }));
    assert_eq!(get_blob(&mut data, ""), None);
    assert_eq!(get_blob(&mut data, &long), None);
    let large = Bytes::from(vec![0; BLOB_BYTES_MAX + 1]);
    let BlobReply::Failed { reason, .. } = put_blob(&mut data, "a", large) else { panic!("too large") };
    assert_eq!(reason, "the blob has 33554433 bytes, more than 33554432");
}

#[test]
fn blobs_of_all_sizes_come_back() {
    let mut data = node();
    let sizes = [0, 1, 65_535, 65_536, 65_537, 300_000];
    for size in sizes {
        put_blob(&mut data, &format!("backup/{size}"), Bytes::from(vec![size as u8; size]));
    }
    let mut data = Data::new(data.into_store());
    for size in sizes {
        assert_eq!(get_blob(&mut data, &format!("backup/{size}")), Some(Bytes::from(vec![size as u8; size])));
    }
}

#[test]
fn a_replaced_or_deleted_blob_leaves_nothing_behind() {
    let mut data = node();
    put_blob(&mut data, "kept", Bytes::from_static(b"k"));
    let empty = data.store_mut().bytes();
    put_blob(&mut data, "a", Bytes::from(vec![1; 200_000]));
    put_blob(&mut data, "a", Bytes::from(vec![2; 70_000]));
    assert_eq!(get_blob(&mut data, "a"), Some(Bytes::from(vec![2; 70_000])));
    let names = |prefix: &str| BlobRequest::List { request: ASK, prefix: prefix.to_owned() };
    let listed = blob(&mut data, names(""));
    assert_eq!(listed, BlobReply::Names { request: ASK, names: vec!["a".to_owned(), "kept".to_owned()] });
    for _ in 0..2 {
        let deleted = blob(&mut data, BlobRequest::Delete { request: ASK, name: "a".to_owned() });
        assert_eq!(deleted, BlobReply::Done { request: ASK }, "also when there is nothing to delete");
    }
    assert_eq!(data.store_mut().bytes(), empty);
    assert_eq!(get_blob(&mut data, "kept"), Some(Bytes::from_static(b"k")));
}
