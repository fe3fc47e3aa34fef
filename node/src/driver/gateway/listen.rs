//! Where clients connect: one TCP and one WebSocket listener, one bound on connections over both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt;
use pangaea_gateway::{ConnId, Input, Transport};
use pangaea_schemas::NodeId;
use pangaea_schemas::frame::FrameLimit;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::outgoing::{Outgoing, Task};
use super::read::{Reader, Words};
use super::sockets::{Client, Errand, Sockets};
use super::write::write_ws;
use super::{Event, FromClient};
use crate::mesh::Inbox;
use crate::role::ClientListeners;

/// The WebSocket upgrade must be done by then.
const UPGRADE_TIME_MAX: Duration = Duration::from_secs(5);
/// A closing WebSocket is given this long to take its last bytes.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);
/// What the kernel may hold for a client that does not read; it counts bookkeeping too. As large as a window must be for a
/// spectator who is 200 ms away, and no larger: what lies here is neither seen by the slow-client policy nor ever fresh.
const SEND_BUFFER_BYTES: u32 = 128 * 1_024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// Pause after an accept that failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the accepting tasks share.
struct Door {
    inbox: Inbox<Event>,
    sockets: Sockets,
    places: Arc<Semaphore>,
    last_conn: AtomicU64,
}

/// The two listeners of a gateway.
pub(super) struct Listeners {
    pub(super) tcp: TcpListener,
    pub(super) ws: TcpListener,
}

impl Listeners {
    /// Bind both.
    ///
    /// # Errors
    /// An address is in use or not ours; the text names it.
    pub(super) fn bind(clients: ClientListeners, node: NodeId) -> anyhow::Result<Self> {
        let bind = |address| listen(address).with_context(|| format!("{node} cannot listen for clients on {address}"));
        Ok(Self { tcp: bind(clients.tcp)?, ws: bind(clients.ws)? })
    }

    /// Accept clients from now on; the tasks live as long as the runtime.
    ///
    /// # Errors
    /// There is nothing to wait for their sockets with.
    pub(super) fn accept(self, connections_max: usize, inbox: Inbox<Event>) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(connections_max));
        let sockets = Sockets::start(connections_max, inbox.clone())?;
        let door = Arc::new(Door { inbox, sockets, places, last_conn: AtomicU64::new(0) });
        tokio::spawn(accept_all(self.tcp, Transport::Tcp, door.clone()));
        tokio::spawn(accept_all(self.ws, Transport::WebSocket, door));
        Ok(())
    }
}

/// As `TcpListener::bind`, but what the kernel holds of each connection is bounded.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept_all(listener: TcpListener, transport: Transport, door: Arc<Door>) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = door.places.clone().try_acquire_owned() else {
            metrics::counter!("pangaea_clients_turned_away").increment(1);
            tracing::debug!(%address, "no place for another client");
            continue;
        };
        tokio::spawn(serve(stream, transport, door.clone(), place));
    }
}

/// Let a connection in; one over TCP is the sockets' thread's from then on.
async fn serve(stream: TcpStream, transport: Transport, door: Arc<Door>, place: OwnedSemaphorePermit) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let conn = ConnId(door.last_conn.fetch_add(1, Ordering::Relaxed) + 1);
    match transport {
        Transport::Tcp => {
            let socket = match door.sockets.watch(conn, stream) {
                Ok(socket) => socket,
                Err(error) => return tracing::warn!(%error, "cannot wait for a client's socket"),
            };
            let outgoing = Arc::new(Outgoing::of_thread(conn, socket.clone(), door.sockets.clone()));
            door.sockets.send(Errand::Take(Client::new(conn, socket, outgoing, place)));
        }
        Transport::WebSocket => {
            let upgrade = tokio_tungstenite::accept_async_with_config(stream, Some(web_socket_config()));
            let Ok(Ok(socket)) = tokio::time::timeout(UPGRADE_TIME_MAX, upgrade).await else { return };
            let task = Arc::new(Task::new());
            let outgoing = Arc::new(Outgoing::of_task(task.clone()));
            if announce(&door, conn, transport, &outgoing).await {
                let (write, read) = socket.split();
                let reader = Reader { task: &task, inbox: &door.inbox, words: Words::of(conn) };
                live(&task, reader.read_ws(read), write_ws(&outgoing, &task, write)).await;
            }
            // A closed inbox means that this gateway stops.
            let _ = door.inbox.deliver(Event::Own(FromClient::Said(vec![Input::Closed { conn }]))).await;
        }
    }
}

async fn announce(door: &Door, conn: ConnId, transport: Transport, outgoing: &Arc<Outgoing>) -> bool {
    let outgoing = outgoing.clone();
    door.inbox.deliver(Event::Own(FromClient::Opened { conn, transport, outgoing })).await.is_ok()
}

/// Read and write until the client goes, the core closes, or the last resort ends it.
async fn live(task: &Task, reading: impl Future<Output = ()>, writing: impl Future<Output = ()>) {
    let closing = async {
        task.until_closing().await;
        tokio::time::sleep(CLOSE_TIME_MAX).await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
        () = closing => {}
        () = task.ended.cancelled() => {}
    }
}

fn web_socket_config() -> WebSocketConfig {
    let largest = FrameLimit::Playing.bytes_max();
    WebSocketConfig::default()
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest))
        .read_buffer_size(8 * 1_024)
        .write_buffer_size(16 * 1_024)
        .max_write_buffer_size(8 * 1_024 * 1_024)
}
