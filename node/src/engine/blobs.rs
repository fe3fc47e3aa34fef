//! Blobs in an object store. One request at a time, so that they happen in the order in which they were asked for.

use async_nats::jetstream::object_store::{DeleteErrorKind, GetErrorKind, ObjectStore};
use bytes::Bytes;
use futures_util::TryStreamExt;
use pangaea_schemas::RequestId;
use pangaea_schemas::message::{BLOB_BYTES_MAX, BlobReply, BlobRequest, Message};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Connection, Outlet};

/// Longest name in bytes, as with the embedded backend.
const NAME_BYTES_MAX: usize = 256;
/// Most requests that wait: they may be large.
const WAITING_MAX: usize = 64;

pub(super) fn start(connection: &Connection, outlet: Outlet, stopped: &CancellationToken) -> mpsc::Sender<BlobRequest> {
    let (queue, mut asked) = mpsc::channel(WAITING_MAX);
    let blobs = Blobs { store: connection.blobs().clone() };
    let serve = async move {
        while let Some(request) = asked.recv().await {
            let reply = blobs.handle(request).await;
            outlet.say(outlet.node, Message::BlobReply(reply)).await;
        }
    };
    tokio::spawn(stopped.clone().run_until_cancelled_owned(serve));
    queue
}

/// The cluster's blobs.
#[derive(Clone)]
pub(super) struct Blobs {
    store: ObjectStore,
}

impl Blobs {
    async fn handle(&self, asked: BlobRequest) -> BlobReply {
        let (request, done) = match asked {
            BlobRequest::Put { request, name, bytes } => (request, self.put(request, &name, bytes).await),
            BlobRequest::Get { request, name } => (request, self.get(request, &name).await),
            BlobRequest::List { request, prefix } => (request, self.list(request, &prefix).await),
            BlobRequest::Delete { request, name } => (request, self.delete(request, &name).await),
        };
        done.unwrap_or_else(|error| BlobReply::Failed { request, reason: format!("{error:#}") })
    }

    /// The store writes the parts first and the name last: a put that breaks off leaves what was there before.
    async fn put(&self, request: RequestId, name: &str, bytes: Bytes) -> anyhow::Result<BlobReply> {
        anyhow::ensure!(
            (1..=NAME_BYTES_MAX).contains(&name.len()),
            "a blob's name has 1 to {NAME_BYTES_MAX} bytes, this one {}",
            name.len()
        );
        anyhow::ensure!(bytes.len() <= BLOB_BYTES_MAX, "the blob has {} bytes, more than {BLOB_BYTES_MAX}", bytes.len());
        self.store.put(name, &mut bytes.as_ref()).await?;
        Ok(BlobReply::Done { request })
    }

    async fn get(&self, request: RequestId, name: &str) -> anyhow::Result<BlobReply> {
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return Ok(BlobReply::Value { request, bytes: None });
        }
        let mut object = match self.store.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(BlobReply::Value { request, bytes: None }),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::with_capacity(object.info().size.min(BLOB_BYTES_MAX));
        object.read_to_end(&mut bytes).await?;
        Ok(BlobReply::Value { request, bytes: Some(bytes.into()) })
    }

    async fn list(&self, request: RequestId, prefix: &str) -> anyhow::Result<BlobReply> {
        let objects = self.store.list().await?;
        let mut names: Vec<String> = objects
            .map_ok(|object| object.name)
            .try_collect::<Vec<_>>()
            .await?
            .into_iter()
            .filter(|n| n.starts_with(prefix))
            .collect();
        names.sort_unstable();
        Ok(BlobReply::Names { request, names })
    }

    async fn delete(&self, request: RequestId, name: &str) -> anyhow::Result<BlobReply> {
        match self.store.delete(name).await {
            Ok(()) => {}
            Err(error) if error.kind() == DeleteErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(BlobReply::Done { request })
    }
}
