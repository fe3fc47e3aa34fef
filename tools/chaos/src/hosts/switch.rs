//! A switch for Ethernet frames between a few ports, each of which can be cut, slowed down and made to lose frames, in each
//! direction.
//!
//! A port's device has the hardware address [`address_of`] its number, so there is nothing to learn. What goes from one port to
//! another keeps its order, however long it takes.

use std::collections::VecDeque;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Largest frame in bytes: the devices' MTU and its head.
const FRAME_BYTES_MAX: usize = super::namespaces::MTU_BYTES + 18;
/// Frames on their way from one port to another; those beyond are lost, as in any switch.
const LINE_FRAMES_MAX: usize = 8_192;
/// Frames taken from a port before the others have their turn.
const BURST_FRAMES_MAX: usize = 64;
/// How hardware addresses begin: given locally, to one device.
const ADDRESS_HEAD: [u8; 5] = [0x02, 0x70, 0x67, 0x65, 0x61];

/// The hardware address of a port's device.
pub(super) fn address_of(port: u8) -> [u8; 6] {
    let [a, b, c, d, e] = ADDRESS_HEAD;
    [a, b, c, d, e, port]
}

/// What happens to the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Way {
    /// All are lost.
    pub(crate) cut: bool,
    /// They take so long …
    pub(crate) delay: Duration,
    /// … and up to so much longer.
    pub(crate) jitter: Duration,
    /// So many of them are lost, from 0 to 1.
    pub(crate) loss: f64,
}

/// What happens to the frames of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weather {
    /// Those that its device sends.
    pub(crate) sent: Way,
    /// Those that are sent to it.
    pub(crate) heard: Way,
}

/// By port.
type Chart = Arc<Mutex<Vec<Weather>>>;

/// A running switch. Dropping it ends its thread and closes its ports.
pub(crate) struct Switch {
    chart: Chart,
    /// Closed to end the thread.
    life: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// Forward frames between these devices, each read and written one frame at a time without blocking. What is lost or late is
    /// drawn from the seed.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn start(devices: Vec<OwnedFd>, seed: u64) -> std::io::Result<Self> {
        let chart = Arc::new(Mutex::new(vec![Weather::default(); devices.len()]));
        let (end, life) = pipe()?;
        let lines = devices.iter().map(|_| devices.iter().map(|_| Line::default()).collect()).collect();
        let forwarding = Forwarding { devices, lines, chart: chart.clone(), rng: Rng::with_seed(seed) };
        let thread = std::thread::Builder::new().name("switch".to_owned()).spawn(move || forwarding.run(&end))?;
        Ok(Self { chart, life: Some(life), thread: Some(thread) })
    }

    /// From now on, a port's frames meet this.
    pub(super) fn set(&self, port: usize, weather: Weather) {
        if let Some(of_port) = self.chart.lock().unwrap_or_else(PoisonError::into_inner).get_mut(port) {
            *of_port = weather;
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        drop(self.life.take());
        // One that panicked has said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Frames on their way from one port to another, and when each is due.
type Line = VecDeque<(Instant, Box<[u8]>)>;

/// The thread's own.
struct Forwarding {
    devices: Vec<OwnedFd>,
    /// From, to.
    lines: Vec<Vec<Line>>,
    chart: Chart,
    rng: Rng,
}

impl Forwarding {
    fn run(mut self, end: &PipeReader) {
        let mut frame = vec![0; FRAME_BYTES_MAX];
        loop {
            let Some(readable) = self.wait(end) else { return };
            let chart = self.chart.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for from in readable {
                for _ in 0..BURST_FRAMES_MAX {
                    match rustix::io::read(&self.devices[from], &mut frame[..]) {
                        Ok(length) => self.pass(from, &frame[..length], &chart),
                        Err(Errno::INTR) => {}
                        // Nothing more for now; or its device is gone, since its host is being removed.
                        Err(_) => break,
                    }
                }
            }
            self.deliver(Instant::now());
        }
    }

    /// Until a frame comes or is due: from whom there are some. `None`: it is over.
    fn wait(&self, end: &PipeReader) -> Option<Vec<usize>> {
        let due = self.lines.iter().flatten().filter_map(|line| line.front()).map(|(due, _)| *due).min();
        let patience = due.map(|due| due.saturating_duration_since(Instant::now()));
        let patience = patience.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) });
        let mut polled: Vec<_> = self.devices.iter().map(|device| PollFd::new(device, PollFlags::IN)).collect();
        polled.push(PollFd::new(end, PollFlags::IN));
        match poll(&mut polled, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!("the switch cannot wait for frames: {error}");
                return None;
            }
        }
        let over = polled.pop().is_some_and(|end| !end.revents().is_empty());
        let is_readable = |polled: &PollFd<'_>| polled.revents().contains(PollFlags::IN);
        (!over).then(|| (0..).zip(&polled).filter(|(_, polled)| is_readable(polled)).map(|(port, _)| port).collect())
    }

    fn pass(&mut self, from: usize, frame: &[u8], chart: &[Weather]) {
        let Some(&[first, .., last]) = frame.first_chunk::<6>() else { return };
        let to_all = first & 1 == 1;
        for to in (0..self.devices.len()).filter(|to| *to != from && (to_all || *to == usize::from(last))) {
            let Some(later) = fate(chart[from].sent, chart[to].heard, &mut self.rng) else { continue };
            let line = &mut self.lines[from][to];
            match line.back() {
                None if later.is_zero() => write(&self.devices[to], frame),
                _ if line.len() == LINE_FRAMES_MAX => tracing::debug!("more than {LINE_FRAMES_MAX} frames are on their way"),
                last => {
                    let due = Instant::now() + later;
                    let due = last.map_or(due, |(last, _)| due.max(*last));
                    line.push_back((due, frame.into()));
                }
            }
        }
    }

    /// What is due.
    fn deliver(&mut self, now: Instant) {
        for (to, line) in self.lines.iter_mut().flat_map(|lines| lines.iter_mut().enumerate()) {
            while let Some((_, frame)) = line.pop_front_if(|(due, _)| *due <= now) {
                write(&self.devices[to], &frame);
            }
        }
    }
}

/// How much later a frame arrives that goes these two ways; `None`: it is lost.
fn fate(sent: Way, heard: Way, rng: &mut Rng) -> Option<Duration> {
    let mut later = Duration::ZERO;
    for way in [sent, heard] {
        if way.cut || (way.loss > 0.0 && rng.f64() < way.loss) {
            return None;
        }
        later += way.delay + way.jitter.mul_f64(if way.jitter.is_zero() { 0.0 } else { rng.f64() });
    }
    Some(later)
}

/// A frame that a device does not take is lost.
fn write(device: &OwnedFd, frame: &[u8]) {
    if let Err(error) = rustix::io::write(device, frame) {
        tracing::trace!("a frame is lost: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// Far longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Long enough for frames on this machine, were they let through.
    const GLANCE: Duration = Duration::from_millis(150);

    /// A switch with three ports, and what is plugged into them.
    fn plugged() -> (Switch, Vec<UnixDatagram>) {
        let pairs = (0..3).map(|_| UnixDatagram::pair().expect("a pair of sockets"));
        let (inside, outside): (Vec<_>, Vec<_>) = pairs.unzip();
        inside.iter().for_each(|socket| socket.set_nonblocking(true).expect("a socket"));
        (Switch::start(inside.into_iter().map(OwnedFd::from).collect(), 1).expect("a switch"), outside)
    }

    fn send(from: &UnixDatagram, to: [u8; 6], text: &str) {
        from.send(&[&to[..], text.as_bytes()].concat()).expect("sent");
    }

    fn hears(socket: &UnixDatagram, patience: Duration) -> Option<String> {
        let mut heard = vec![0; FRAME_BYTES_MAX];
        socket.set_read_timeout(Some(patience)).expect("a socket");
        let length = socket.recv(&mut heard).ok()?;
        Some(String::from_utf8_lossy(&heard[6..length]).into_owned())
    }

    #[test]
    fn a_frame_reaches_whom_it_names_and_a_broadcast_all_others() {
        let (_switch, ports) = plugged();
        send(&ports[0], address_of(2), "you");
        send(&ports[0], [0xff; 6], "all");
        assert_eq!(hears(&ports[1], PATIENCE).as_deref(), Some("all"), "not what is for another");
        assert_eq!(hears(&ports[2], PATIENCE).as_deref(), Some("you"));
        assert_eq!(hears(&ports[2], PATIENCE).as_deref(), Some("all"));
        assert_eq!(hears(&ports[0], GLANCE), None, "nobody hears himself");
    }

    #[test]
    fn a_mute_port_is_not_heard_and_hears_and_a_deaf_one_the_other_way_round() {
        let (switch, ports) = plugged();
        let cut = Way { cut: true, ..Way::default() };
        for (sent, heard, one_hears, two_hears) in [
            (cut, Way::default(), true, false),
            (Way::default(), cut, false, true),
            (cut, cut, false, false),
            (Way::default(), Way::default(), true, true),
        ] {
            switch.set(1, Weather { sent, heard });
            send(&ports[2], address_of(1), "to one");
            send(&ports[1], address_of(2), "to two");
            let patience = |hears| if hears { PATIENCE } else { GLANCE };
            assert_eq!(hears(&ports[1], patience(one_hears)).is_some(), one_hears, "{sent:?} {heard:?}");
            assert_eq!(hears(&ports[2], patience(two_hears)).is_some(), two_hears, "{sent:?} {heard:?}");
        }
    }

    #[test]
    fn late_frames_keep_their_order_also_when_the_delay_ends() {
        let (switch, ports) = plugged();
        let late = Way { delay: Duration::from_millis(60), jitter: Duration::from_millis(60), ..Way::default() };
        switch.set(0, Weather { sent: late, heard: late });
        let sent = Instant::now();
        (0..20).for_each(|n: u32| send(&ports[0], address_of(1), &n.to_string()));
        assert_eq!(hears(&ports[1], PATIENCE).as_deref(), Some("0"));
        assert!(sent.elapsed() >= late.delay, "{:?}", sent.elapsed());
        switch.set(0, Weather::default());
        send(&ports[0], address_of(1), "20");
        (1..=20).for_each(|n: u32| assert_eq!(hears(&ports[1], PATIENCE), Some(n.to_string())));
    }

    #[test]
    fn as_many_frames_are_lost_as_is_said_and_the_same_seed_loses_the_same() {
        let lossy = Way { loss: 0.05, ..Way::default() };
        let fates = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..10_000).map(|_| fate(lossy, Way::default(), &mut rng)).collect::<Vec<_>>()
        };
        let lost = fates(7).iter().filter(|fate| fate.is_none()).count();
        assert!((400..600).contains(&lost), "{lost} of 10000");
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }
}
