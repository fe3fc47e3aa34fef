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
    let mut decoder = FrameDecoder::new(FrameLimit::Hello);
    loop {
        if let Some(frame) = decoder.next_frame()? {
            let LinkMessage::Hello { node, .. } = decode(&frame)? else { bail!("the first frame is no hello") };
            let mut bytes = BytesMut::new();
            encode(&frame, FrameLimit::Hello, &mut bytes)?;
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
