//! A relay in front of every node: all links between nodes run through it, so that they can be cut, held up and slowed down.
//!
//! A link's first frame says who dials, so the relay knows both ends of each. What it does to what one node sends to another:
//!
//! | weather | bytes on their way | new links |
//! |---|---|---|
//! | fair | pass | pass |
//! | slow | arrive later, in order | the same |
//! | held | wait until the weather changes: a network that loses packets, to those who resend them | are opened, and wait |
//! | cut | are lost, the link closes | are refused |

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use pangaea_schemas::NodeId;
use pangaea_schemas::frame::{FrameDecoder, FrameLimit, encode};
use pangaea_schemas::wire::link::{LinkMessage, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1_024;
/// Pieces on their way in one direction of one link; beyond it the sender's own queue fills.
const PIECES_MAX: usize = 256;
/// A link that has not said who dials by then is closed.
const HELLO_TIME_MAX: Duration = Duration::from_secs(3);

/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What happens to what one node sends to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// It arrives.
    #[default]
    Fair,
    /// It arrives so much later.
    Slow(Duration),
    /// It waits.
    Held,
    /// It is lost, and the link with it.
    Cut,
}

/// From whom to whom.
type Direction = (NodeId, NodeId);
/// What is not here is fair.
type Chart = BTreeMap<Direction, Weather>;

/// The relays of a cluster. Dropping it closes all links.
pub struct Relays {
    addresses: BTreeMap<NodeId, SocketAddr>,
    chart: watch::Sender<Chart>,
    _serving: JoinSet<()>,
}

impl Relays {
    /// A relay for each of these nodes, which listen where it is said.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open(nodes: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> anyhow::Result<Self> {
        let (chart, _) = watch::channel(Chart::new());
        let (mut addresses, mut serving) = (BTreeMap::new(), JoinSet::new());
        for (node, target) in nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for a relay")?;
            addresses.insert(node, listener.local_addr()?);
            serving.spawn(accept_all(listener, node, target, chart.clone()));
        }
        Ok(Self { addresses, chart, _serving: serving })
    }

    /// Where to reach each node.
    pub fn addresses(&self) -> &BTreeMap<NodeId, SocketAddr> {
        &self.addresses
    }

    /// From now on, what `from` sends to `to` meets this.
    pub fn set(&self, from: NodeId, to: NodeId, weather: Weather) {
        self.chart.send_modify(|chart| _ = chart.insert((from, to), weather));
    }
}

async fn accept_all(listener: TcpListener, node: NodeId, target: SocketAddr, chart: watch::Sender<Chart>) {
    let mut links = JoinSet::new();
    loop {
        while links.try_join_next().is_some() {}
        // Out of file descriptors, perhaps: the dialing node tries again.
        let Ok((dialing, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let chart = chart.subscribe();
        links.spawn(async move {
            if let Err(error) = relay(dialing, node, target, chart).await {
                tracing::debug!(%node, "no link: {error:#}");
            }
        });
    }
}

/// One link, to its end.
async fn relay(mut dialing: TcpStream, node: NodeId, target: SocketAddr, chart: watch::Receiver<Chart>) -> anyhow::Result<()> {
    dialing.set_nodelay(true)?;
    let (dialer, greeting) = timeout(HELLO_TIME_MAX, greeting(&mut dialing)).await.context("nobody says who dials")??;
    if is_cut(&chart.borrow(), dialer, node) {
        return Ok(());
    }
    let called = TcpStream::connect(target).await?;
    called.set_nodelay(true)?;
    let (from_dialer, to_dialer) = dialing.into_split();
    let (from_called, to_called) = called.into_split();
    let mut weather = chart.clone();
    tokio::select! {
        () = pass(from_dialer, to_called, greeting, chart.clone(), (dialer, node)) => {}
        () = pass(from_called, to_dialer, Bytes::new(), chart, (node, dialer)) => {}
        _ = weather.wait_for(|chart| is_cut(chart, dialer, node)) => {}
    }
    Ok(())
}

fn is_cut(chart: &Chart, a: NodeId, b: NodeId) -> bool {
    [(a, b), (b, a)].iter().any(|direction| chart.get(direction) == Some(&Weather::Cut))
}

/// Who dials, and all bytes that came until it was known.
async fn greeting(socket: &mut TcpStream) -> anyhow::Result<(NodeId, Bytes)> {
    let mut decoder = FrameDecoder::new(FrameLimit::Link);
    loop {
        if let Some(frame) = decoder.next_frame()? {
            let LinkMessage::Hello { node, .. } = decode(&frame)? else { bail!("the first frame is no hello") };
            let mut bytes = BytesMut::new();
            encode(&frame, FrameLimit::Link, &mut bytes)?;
            bytes.extend_from_slice(decoder.buffer_mut());
            return Ok((node, bytes.freeze()));
        }
        if socket.read_buf(decoder.buffer_mut()).await? == 0 {
            bail!("it closed");
        }
    }
}

/// Everything in one direction, until either end closes.
async fn pass(from: OwnedReadHalf, mut to: OwnedWriteHalf, first: Bytes, chart: watch::Receiver<Chart>, direction: Direction) {
    let (queue, mut queued) = mpsc::channel(PIECES_MAX);
    // The queue was made just now: there is room.
    let _ = queue.try_send((Instant::now(), first));
    let mut weather = chart.clone();
    let write = async move {
        while let Some((due, piece)) = queued.recv().await {
            let passes = |chart: &Chart| chart.get(&direction) != Some(&Weather::Held);
            if weather.wait_for(passes).await.is_err() {
                return;
            }
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read(from, queue, chart, direction), write);
}

/// Read until the end, or until nobody takes it any more. What was read before the end is still written.
async fn read(
    mut from: OwnedReadHalf,
    queue: mpsc::Sender<(Instant, Bytes)>,
    chart: watch::Receiver<Chart>,
    direction: Direction,
) {
    let mut piece = BytesMut::new();
    loop {
        piece.reserve(PIECE_BYTES);
        let read = tokio::select! {
            read = from.read_buf(&mut piece) => read,
            () = queue.closed() => return,
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
        let later = match chart.borrow().get(&direction) {
            Some(Weather::Slow(later)) => *later,
            Some(Weather::Fair | Weather::Held | Weather::Cut) | None => Duration::ZERO,
        };
        if queue.send((Instant::now() + later, piece.split().freeze())).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::registry::Dialect;
    use pangaea_schemas::wire::link::{self, LINK_PROTOCOL};
    use pangaea_schemas::{Nonce, Role};

    use super::*;

    const SCENE: NodeId = NodeId::new(Role::Scene, 1);
    const DATA: NodeId = NodeId::new(Role::Data, 1);
    /// Far longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Long enough for bytes on this machine, were they let through.
    const GLANCE: Duration = Duration::from_millis(150);

    /// A data node that says everything back, behind a relay.
    async fn relayed() -> Relays {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let target = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (mut read, mut write) = socket.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            }
        });
        Relays::open([(DATA, target)]).await.expect("relays")
    }

    fn hello() -> Bytes {
        let (cluster, nonce) = ("demo".to_owned(), Nonce(1));
        let hello = LinkMessage::Hello { protocol: LINK_PROTOCOL, cluster, node: SCENE, nonce, dialect: Dialect::default() };
        let mut bytes = BytesMut::new();
        encode(&link::encode(&hello), FrameLimit::Link, &mut bytes).expect("short");
        bytes.freeze()
    }

    /// Dial as the scene and say hello.
    async fn dial(relays: &Relays) -> TcpStream {
        let mut socket = TcpStream::connect(relays.addresses()[&DATA]).await.expect("the relay listens");
        socket.write_all(&hello()).await.expect("sent");
        socket
    }

    /// Everything comes back, hello first.
    async fn echoes(socket: &mut TcpStream, words: &[u8]) -> bool {
        let mut heard = vec![0; words.len()];
        let hear = timeout(PATIENCE, socket.read_exact(&mut heard)).await;
        hear.is_ok_and(|read| read.is_ok()) && heard == words
    }

    /// The relay has closed the link.
    async fn ends(socket: &mut TcpStream) -> bool {
        let mut rest = Vec::new();
        timeout(PATIENCE, socket.read_to_end(&mut rest)).await.is_ok()
    }

    #[tokio::test]
    async fn a_link_passes_is_cut_is_refused_and_comes_back() {
        let relays = relayed().await;
        let mut socket = dial(&relays).await;
        assert!(echoes(&mut socket, &hello()).await);
        socket.write_all(b"to the last").await.expect("sent");
        assert!(echoes(&mut socket, b"to the last").await);

        relays.set(DATA, SCENE, Weather::Cut);
        assert!(ends(&mut socket).await, "a link in service is closed");
        assert!(ends(&mut dial(&relays).await).await, "and no other is opened");

        relays.set(DATA, SCENE, Weather::Fair);
        assert!(echoes(&mut dial(&relays).await, &hello()).await);
    }

    #[tokio::test]
    async fn what_is_held_one_way_waits_and_then_arrives_whole_and_in_order() {
        let relays = relayed().await;
        let mut socket = dial(&relays).await;
        assert!(echoes(&mut socket, &hello()).await);
        relays.set(DATA, SCENE, Weather::Held);
        socket.write_all(b"first ").await.expect("sent");
        socket.write_all(b"second").await.expect("sent");
        // A socket may be called readable that was emptied just now: only a look inside tells.
        assert!(timeout(GLANCE, socket.peek(&mut [0])).await.is_err(), "nothing arrives");
        relays.set(DATA, SCENE, Weather::Fair);
        assert!(echoes(&mut socket, b"first second").await);
    }

    #[tokio::test]
    async fn a_slow_link_delays_each_way() {
        let relays = relayed().await;
        let mut socket = dial(&relays).await;
        assert!(echoes(&mut socket, &hello()).await);
        let delay = Duration::from_millis(60);
        relays.set(SCENE, DATA, Weather::Slow(delay));
        relays.set(DATA, SCENE, Weather::Slow(delay));
        let sent = Instant::now();
        socket.write_all(b"there and back").await.expect("sent");
        assert!(echoes(&mut socket, b"there and back").await);
        assert!(sent.elapsed() >= delay * 2, "{:?}", sent.elapsed());
    }

    #[tokio::test]
    async fn who_does_not_say_hello_is_not_let_through() {
        let relays = relayed().await;
        let mut socket = TcpStream::connect(relays.addresses()[&DATA]).await.expect("the relay listens");
        socket.write_all(b"\x04\0\0\0what").await.expect("sent");
        assert!(ends(&mut socket).await);
    }
}
