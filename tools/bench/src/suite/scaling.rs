//! S12: two scenes and two gateways on two cores against one each on one core, as many clients as either keeps up with.
//!
//! Clients need cores, too. Where there are four, servers have two to themselves and each half of the crowd one. Where there are
//! fewer, a core carries a scene, a gateway *and* the clients of that gateway, with one side as with two: one such core is
//! compared with two of them. So nothing is calculated, but the clients' share grows evenly by itself and flatters the ratio.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::arena::{home, join, keeps_up};
use super::cluster::{Cluster, Shape, with_game};
use crate::load::{Crowd, Played, Server};
use crate::measure::{Log, Pairs, cpu_seconds};
use crate::row::{Bound, Row};
use crate::{Setup, cores};

/// Clients of one side that are tried, until they are too many: the later ones in steps of a tenth.
const STEPS: &[usize] = &[700, 900, 1_100, 1_320, 1_450, 1_600, 1_760, 1_940, 2_130, 2_340, 2_580, 2_840];
/// The same in a hurry.
const STEPS_QUICK: &[usize] = &[300, 500, 700, 900, 1_100, 1_320, 1_600, 1_940, 2_340];
/// The goal.
const GAIN_MIN: f64 = 1.8;

/// Which cores a side's servers and its clients have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side {
    servers: usize,
    clients: usize,
}

/// Two sides on so many cores.
fn sides(cores: usize) -> [Side; 2] {
    let beside = if cores >= 4 { 2 } else { 0 };
    [0, 1].map(|servers| Side { servers, clients: servers + beside })
}

/// The largest crowd that was kept up with.
#[derive(Debug, Default)]
struct Most {
    clients: usize,
    /// Processor time of all servers per client and second, in microseconds.
    server_us: f64,
    /// What clients took of the cores that they were on.
    client_share: f64,
    note: String,
}

pub(crate) fn rows(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    anyhow::ensure!(cores >= 2, "S12 needs two cores");
    let sides = sides(cores);
    let (mut pairs, mut last) = (Pairs::default(), Default::default());
    for _ in 0..if setup.quick { 1 } else { 2 } {
        let one = grow(setup, log, &sides[..1])?;
        let two = grow(setup, log, &sides)?;
        pairs.push(log, one.clients as f64, two.clients as f64);
        last = (one, two);
    }
    let what = "clients of two scenes and two gateways on two cores";
    let row = pairs.row_of_ratio("S12", what, Bound::AtLeast(GAIN_MIN), "clients", "one scene and one gateway on one core");
    Ok(vec![Row { note: note(cores, &last), ..row }])
}

fn note(cores: usize, (one, two): &(Most, Most)) -> String {
    let given = if cores >= 4 {
        "clients on cores of their own".to_owned()
    } else {
        let share = |most: &Most| format!("{:.0} %", most.client_share * 100.0);
        format!(
            "of {cores} cores each carries a scene, a gateway and that gateway's clients, who take {} of one core and {} of two; world, data \
             and auth are where there is room",
            share(one),
            share(two)
        )
    };
    let each = two.server_us / one.server_us.max(f64::MIN_POSITIVE);
    join(&format!("{given}; servers take {each:.2} × the processor time per client"), &join(&one.note, &two.note))
}

/// A cluster with a scene and a gateway for each side, and a crowd that grows until it is too large.
fn grow(setup: &Setup, log: &mut Log, sides: &[Side]) -> anyhow::Result<Most> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    with_game("arena", || {
        let count = sides.len() as u16;
        let servers: Vec<usize> = sides.iter().map(|side| side.servers).collect();
        let shape = Shape { scenes: count, gateways: count, abundance: 0, cores: &servers };
        let cluster = Cluster::start(setup, folder.path(), shape)?;
        let pinned = seat(&cluster, sides).err().unwrap_or_default();
        let numbered = |n| Crowd::numbered(Server::Gateway, cluster.address(n), (usize::from(n), sides.len()));
        let mut crowds = (0..count).map(numbered).collect::<anyhow::Result<Vec<_>>>()?;
        let mut most = Most { note: join(&pinned, &cluster.note), ..Most::default() };
        for &clients in if setup.quick { STEPS_QUICK } else { STEPS } {
            let Some(step) = measure(setup, log, &cluster, sides, (&mut crowds, clients)) else { break };
            most = Most { note: most.note, ..step };
        }
        drop(crowds);
        cluster.stop()?;
        Ok(most)
    })
}

/// Puts each side's scene and gateway on its core.
fn seat(cluster: &Cluster, sides: &[Side]) -> Result<(), String> {
    for (n, side) in sides.iter().enumerate() {
        for node in [cluster.scenes[n], cluster.gateways[n]] {
            let pid = cluster.pid(node).ok_or_else(|| format!("{node} does not run"))?;
            cores::pin_threads(pid, side.servers)?;
        }
    }
    Ok(())
}

/// So many clients at each side; `None` if that is too many.
fn measure(
    setup: &Setup,
    log: &mut Log,
    cluster: &Cluster,
    sides: &[Side],
    (crowds, clients): (&mut [Crowd], usize),
) -> Option<Most> {
    let mut attempt = || -> anyhow::Result<(Vec<Played>, Most, f64)> {
        beside(crowds, sides, |crowd| {
            crowd.grow(clients, home)?;
            crowd.play(setup.span(Duration::from_secs(4)))
        })?;
        let (ticks, cpu, began) = (cluster.ticks()?, cluster.cpu_seconds(), Instant::now());
        let played = beside(crowds, sides, |crowd| crowd.play(setup.span(Duration::from_secs(9))))?;
        let seconds = began.elapsed().as_secs_f64();
        let client_share = played.iter().map(|(_, cpu)| cpu).sum::<f64>() / seconds / sides.len() as f64;
        let (played, clients): (Vec<_>, _) = (played.into_iter().map(|(played, _)| played).collect(), clients * sides.len());
        let server_us = (cluster.cpu_seconds() - cpu) / seconds / clients as f64 * 1e6;
        Ok((played, Most { clients, server_us, client_share, note: String::new() }, cluster.tick_ms_p99(&ticks)?))
    };
    match attempt() {
        Ok((played, most, tick_ms_p99)) => {
            log.note(&format!("  {most:?}, tick p99 {tick_ms_p99:.1} ms, {played:?}"));
            played.iter().all(|played| keeps_up(played, tick_ms_p99)).then_some(most)
        }
        Err(error) => {
            log.note(&format!("  {clients} clients at each of {} sides do not play: {error:#}", sides.len()));
            None
        }
    }
}

/// Every crowd on its core at the same time; what each did, and the processor time that it took for that.
fn beside<T: Send>(
    crowds: &mut [Crowd],
    sides: &[Side],
    work: impl Fn(&mut Crowd) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<(T, f64)>> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = crowds
            .iter_mut()
            .zip(sides)
            .map(|(crowd, side)| {
                scope.spawn(move || {
                    // Where that is not permitted, the servers are not pinned either, and say so.
                    let _ = cores::pin(None, side.clients);
                    cpu_seconds(|| work(crowd))
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, (anyhow::Result<T>, f64)>| {
            let (done, cpu) = thread.join().ok().context("a crowd's thread panicked")?;
            Ok((done?, cpu))
        };
        threads.into_iter().map(join).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_cores_of_their_own_where_there_are_four() {
        assert_eq!(sides(8).map(|side| (side.servers, side.clients)), [(0, 2), (1, 3)]);
        assert_eq!(sides(2).map(|side| (side.servers, side.clients)), [(0, 0), (1, 1)]);
    }
}
