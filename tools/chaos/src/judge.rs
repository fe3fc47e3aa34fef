//! What a fault excuses: a few things that clients would otherwise never see, of a bounded size, to those whom it hurts, while it
//! lasts. Everything else that a bot saw is an anomaly.
//!
//! | fault | allowed |
//! |---|---|
//! | kill or pause a scene; cut or hold its link to the world, so that it loses its shards | *set back*, *paused*, *unseen* |
//! | kill a shard's target or data while it stands still in its move | as above, for both scenes; of data not *set back* |
//! | kill anybody while a shard that stands still in its move does not hear its target | the same; of the world not *set back* |
//! | restart a scene; cut or hold its link to a gateway | *paused*, *unseen* |
//! | restart a gateway | *reconnect* |
//! | kill a gateway | *reconnect*, *detour* |
//! | pause a gateway | *reconnect*, *detour*, *catch up* |
//! | anything done to data, its disk or the engine; cut or hold a scene's link to data | *crossing* |
//! | cut or hold the link between two scenes | *crossing* |
//! | pause the world for longer than a lease | *crossing* |
//! | kill or restart the world; other links; a slow link | nothing: play goes on |
//! | hold a scene's link to a gateway | *catch up*, too, of the scene's agents |
//! | cut a scene's link to a gateway while a journal is away | *catch up*, by late steps before and behind a border |
//! | kill or pause a scene, or cut or hold its link to the world, while a journal is away | *set back* by as much more |
//! | anything done to a gateway while a journal is away | its clients may give up the next one, too, which has nothing to show |
//! | kill a host | what killing its scenes, its gateways, its data node and its server of the engine allows, all at once |
//! | pause a host | the same of pausing them, and *set back* by as much more |
//! | cut a host off, deafen it | the same: nothing that is asked gets there, or nobody hears what comes of it |
//! | make a host mute | the same, and *show up*: what is asked gets there |
//! | a host lags or loses frames | *crossing*: the engine's servers agree more slowly |
//!
//! - *set back*: its agents live at most a second again; what a host's server of the engine has led, nobody writes down until the
//!   others have chosen anew, and that they do once more when the host is back: whoever plays there meanwhile, plays as much more
//!   again once its scene has lost its shards;
//! - *paused*: its agents stand still, also for whoever is sent to another gateway just then; *unseen*: others lose sight of
//!   entities whose owner changes;
//! - *reconnect*: its clients lose their connection, and get in elsewhere;
//! - *detour*: whoever another gateway had sent to it waits for it first;
//! - *show up*: its agents have walked meanwhile, if it is still theirs when it is heard again;
//! - *catch up*: its clients' picture stands still, and then shows where everybody has walked meanwhile;
//! - *crossing*: who was let go by one shard waits until a journal says so and the other has heard it; a client that changes its
//!   gateway just then sees nothing before that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pangaea_bots::{AnomalyKind, Sighting};
use pangaea_schemas::{NodeId, Role};

use crate::fault::{Fault, FaultKind, Victim};

/// Clients notice gaps when they end.
const AFTERMATH: Duration = Duration::from_millis(1_500);
/// Steps per second that a bot makes, rounded up: it walks at 20 Hz and now and then does something besides.
const INPUTS_PER_S: f64 = 25.0;
/// Full speed.
const SPEED_M_PER_S: f64 = 6.0;
/// Twelve late steps that may be made up for at once, and two more, in metres.
const LATE_STEPS_M: f64 = 5.0;
/// A link that was cut is dialed anew after a pause of up to so long: a lease may run out that much later than the cut healed.
const REDIAL_MAX: Duration = Duration::from_secs(1);
/// The twelve alone: whoever comes into a shard may make up for as many again, in metres.
const LATE_STEPS_AGAIN_M: f64 = 3.6;
/// Bots call an absence a blink up to here.
const BLINK_MS: f64 = 300.0;
/// How far a second's set-back may move an agent.
const SET_BACK_M: f64 = SPEED_M_PER_S + LATE_STEPS_M;

/// A fault that was done.
#[derive(Clone, Debug)]
pub struct Episode {
    /// What it was.
    pub fault: Fault,
    /// When it began.
    pub began: Instant,
    /// When all was well again.
    pub over: Instant,
}

/// Who is excused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    /// Agents that the hurt scene runs or ran.
    Agents,
    /// Clients of the hurt gateway.
    Clients,
    /// Everybody who may look at the hurt shards.
    Onlookers,
}

/// Whoever has lost its gateway may give up the next one, which cannot show anything while a journal is away.
const GIVE_UP: Allowance = (AnomalyKind::Disconnected, Whom::Onlookers, 1.0);

/// One allowance: what, to whom, up to which [`Sighting::size`].
type Allowance = (AnomalyKind, Whom, f64);

impl Episode {
    /// Whether this fault, or what it does together with the others, excuses that sight.
    fn excuses(&self, sighting: &Sighting, episodes: &[Self]) -> bool {
        let ends = self.over + aftermath(&self.fault);
        if sighting.at < self.began || sighting.at > ends {
            return false;
        }
        let mut allowed = allowances(&self.fault, ends.duration_since(self.began));
        let is_another = |other: &&Self| other.began != self.began || other.fault != self.fault;
        for other in episodes.iter().filter(is_another).filter(|other| self.overlaps(other)) {
            other.adds_to(&self.fault, &mut allowed);
        }
        allowed.into_iter().any(|(kind, whom, size_max)| {
            let hurt = match whom {
                Whom::Agents => [&sighting.scene, &sighting.former_scene].iter().any(|scene| self.fault.victim.touches(scene)),
                Whom::Clients => self.fault.victim.touches(&sighting.gateway),
                Whom::Onlookers => true,
            };
            kind == sighting.kind && hurt && sighting.size <= size_max
        })
    }

    fn overlaps(&self, other: &Self) -> bool {
        other.began <= self.over + AFTERMATH && self.began <= other.over + AFTERMATH
    }

    /// What another fault allows besides because this one happens at the same time.
    fn adds_to(&self, other: &Fault, allowed: &mut Vec<Allowance>) {
        if !keeps_a_journal_away(&self.fault) {
            return;
        }
        let away_s = (self.over.duration_since(self.began) + AFTERMATH).as_secs_f64();
        let [from, to] = ends(other.victim);
        let role = other.victim_role().or(from.filter(|_| to == Some(Role::World)));
        match role {
            Some(Role::Scene) => set_back_more(allowed, away_s),
            Some(Role::Gateway) => allowed.push(GIVE_UP),
            None if other.kind == FaultKind::CutLink && [from, to] == [Some(Role::Scene), Some(Role::Gateway)] => {
                allowed.push((AnomalyKind::Jump, Whom::Agents, LATE_STEPS_M + LATE_STEPS_AGAIN_M));
            }
            _ => {}
        }
        if other.kind.takes_a_host_away() {
            set_back_more(allowed, away_s);
        }
    }
}

/// What was not written down since a journal is away is gone with its scene, also if that only loses its shards.
fn set_back_more(allowed: &mut [Allowance], away_s: f64) {
    for (kind, _, size_max) in allowed {
        match kind {
            AnomalyKind::Jump => *size_max += SPEED_M_PER_S * away_s,
            AnomalyKind::InputBack => *size_max += INPUTS_PER_S * away_s,
            _ => {}
        }
    }
}

/// What is noticed so long after all was well again still belongs to the fault.
fn aftermath(fault: &Fault) -> Duration {
    match ends(fault.victim) {
        // All was well because its lease had not run out yet.
        [Some(Role::Scene), Some(Role::World)] => AFTERMATH + REDIAL_MAX,
        _ => AFTERMATH,
    }
}

fn allowances(fault: &Fault, lasted: Duration) -> Vec<Allowance> {
    let pause_ms = lasted.as_secs_f64() * 1e3;
    // Nobody's position is fresh while a shard stands still, and entities of its cells come and go with its owners.
    let paused =
        [AnomalyKind::UpdateGap, AnomalyKind::SlowReturn, AnomalyKind::Vanished].map(|kind| (kind, Whom::Agents, pause_ms));
    let unseen = [(AnomalyKind::Blinked, Whom::Onlookers, BLINK_MS), (AnomalyKind::Vanished, Whom::Agents, pause_ms)];
    let set_back = [(AnomalyKind::Jump, Whom::Agents, SET_BACK_M), (AnomalyKind::InputBack, Whom::Agents, INPUTS_PER_S)];
    let reconnect = [(AnomalyKind::Disconnected, Whom::Clients, 1.0), (AnomalyKind::UpdateGap, Whom::Clients, pause_ms)];
    // Whom one shard has let go cannot run before a journal says so, and the other shard has heard it.
    let crossing = [
        (AnomalyKind::Vanished, Whom::Onlookers, pause_ms),
        (AnomalyKind::Blinked, Whom::Onlookers, BLINK_MS),
        (AnomalyKind::SlowReturn, Whom::Onlookers, pause_ms),
    ];
    // When the picture goes on, it shows where everybody has walked meanwhile.
    let way_m = SPEED_M_PER_S * lasted.as_secs_f64() + LATE_STEPS_M;
    let detour = [(AnomalyKind::SlowReturn, Whom::Onlookers, pause_ms)];
    let catch_up = [(AnomalyKind::Jump, Whom::Clients, way_m), (AnomalyKind::Blinked, Whom::Clients, BLINK_MS)];
    let show_up = [(AnomalyKind::Jump, Whom::Agents, way_m)];
    // First of all: a host that is away keeps journals away, too.
    if fault.kind.takes_a_host_away() {
        let mut allowed = [&paused[..], &unseen, &set_back, &reconnect, &detour, &crossing, &[GIVE_UP]].concat();
        if fault.kind != FaultKind::KillHost {
            set_back_more(&mut allowed, lasted.as_secs_f64());
            allowed.extend(catch_up);
        }
        if fault.kind == FaultKind::MuteHost {
            allowed.extend(show_up);
        }
        return allowed;
    }
    if keeps_a_journal_away(fault) {
        return crossing.to_vec();
    }
    match (fault.kind, ends(fault.victim)) {
        (FaultKind::Kill(Role::Scene) | FaultKind::Pause(Role::Scene), _) => [&paused[..], &unseen, &set_back].concat(),
        (FaultKind::Kill(Role::Data), _) if matches!(fault.victim, Victim::Move { .. }) => {
            [&paused[..], &unseen, &crossing].concat()
        }
        (FaultKind::Kill(Role::World), _) if matches!(fault.victim, Victim::Move { .. }) => [&paused[..], &unseen].concat(),
        (FaultKind::Restart(Role::Scene), _) => [&paused[..], &unseen].concat(),
        (FaultKind::Restart(Role::Gateway), _) => reconnect.to_vec(),
        (FaultKind::Kill(Role::Gateway), _) => [&reconnect[..], &detour].concat(),
        (FaultKind::Pause(Role::Gateway), _) => [&reconnect[..], &detour, &catch_up].concat(),
        // Its beacon renews no leases meanwhile, and who is in doubt takes nobody in.
        (FaultKind::Pause(Role::World), _) => crossing.to_vec(),
        (FaultKind::Kill(_) | FaultKind::Pause(_) | FaultKind::Restart(_), _) => Vec::new(),
        (FaultKind::CutLink | FaultKind::HoldLink, [Some(Role::Scene), Some(Role::Scene)]) => crossing.to_vec(),
        // Without the world a scene's lease runs out, and others take its shards.
        (FaultKind::CutLink | FaultKind::HoldLink, [Some(Role::Scene), Some(Role::World)]) => {
            [&paused[..], &unseen, &set_back].concat()
        }
        (FaultKind::HoldLink, [Some(Role::Scene), Some(Role::Gateway)]) => [&paused[..], &unseen, &show_up].concat(),
        (FaultKind::CutLink, [Some(Role::Scene), Some(Role::Gateway)]) => [&paused[..], &unseen].concat(),
        (FaultKind::FullDisk | FaultKind::CutLink | FaultKind::HoldLink | FaultKind::SlowLink, _) => Vec::new(),
        // The engine is as fast as two of its three servers.
        (FaultKind::LagHost | FaultKind::LoseHost, _) => crossing.to_vec(),
        (FaultKind::KillEngine | FaultKind::PauseEngine, _) => Vec::new(),
        (FaultKind::KillHost | FaultKind::PauseHost, _) => Vec::new(),
        (FaultKind::CutHost | FaultKind::MuteHost | FaultKind::DeafenHost, _) => Vec::new(),
    }
}

/// Whether what is not durable yet stays so while it lasts.
fn keeps_a_journal_away(fault: &Fault) -> bool {
    match (fault.kind, ends(fault.victim)) {
        (FaultKind::Kill(Role::Data), _) => !matches!(fault.victim, Victim::Move { .. }),
        (FaultKind::Pause(Role::Data) | FaultKind::Restart(Role::Data) | FaultKind::FullDisk, _)
        | (FaultKind::KillEngine | FaultKind::PauseEngine, _)
        | (FaultKind::CutLink | FaultKind::HoldLink, [Some(Role::Scene), Some(Role::Data)]) => true,
        // Its server may have led the engine.
        (kind, _) => kind.takes_a_host_away(),
    }
}

/// The roles of a link's ends, the scene first.
fn ends(victim: Victim) -> [Option<Role>; 2] {
    let roles = |a: NodeId, b: NodeId| [Some(a.role), Some(b.role)];
    match victim {
        Victim::Link(a, b) if b.role == Role::Scene => roles(b, a),
        Victim::Link(a, b) => roles(a, b),
        Victim::Node(_) | Victim::Disk | Victim::Server(_) | Victim::Engine | Victim::Host { .. } | Victim::Move { .. } => {
            [None, None]
        }
    }
}

/// What bots saw, told apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// By kinds of fault and of sight.
    pub allowed: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// What nothing excuses.
    pub anomalies: Vec<Sighting>,
}

/// Judge each sight by itself: one fault, with what others do to it, must excuse it.
pub fn judge(episodes: &[Episode], sightings: &[Sighting]) -> Verdict {
    let mut verdict = Verdict::default();
    for sighting in sightings {
        match episodes.iter().find(|episode| episode.excuses(sighting, episodes)) {
            Some(episode) => {
                let by_kind = verdict.allowed.entry(episode.fault.kind.name()).or_default();
                *by_kind.entry(sighting.kind.name()).or_default() += 1;
            }
            None => verdict.anomalies.push(sighting.clone()),
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENE: NodeId = NodeId::new(Role::Scene, 1);
    const WORLD: NodeId = NodeId::new(Role::World, 1);

    impl Episode {
        fn excuses_alone(&self, sighting: &Sighting) -> bool {
            self.excuses(sighting, &[])
        }
    }

    /// Ten seconds after `start`, a fault of one second.
    fn episode(start: Instant, kind: FaultKind, victim: Victim) -> Episode {
        let fault = Fault { kind, victim, lasts: Duration::ZERO, delay: Duration::ZERO };
        let began = start + Duration::from_secs(10);
        Episode { fault, began, over: began + Duration::from_secs(1) }
    }

    fn saw(at: Instant, kind: AnomalyKind, size: f64, scene: &str) -> Sighting {
        let (gateway, scene) = ("gateway-1".to_owned(), scene.to_owned());
        Sighting { at, kind, size, gateway, scene, former_scene: String::new(), text: String::new() }
    }

    #[test]
    fn a_killed_scene_excuses_a_second_of_its_own_agents_and_nothing_else() {
        let start = Instant::now();
        let kill = episode(start, FaultKind::Kill(Role::Scene), Victim::Node(SCENE));
        let then = kill.began + Duration::from_millis(700);
        assert!(kill.excuses_alone(&saw(then, AnomalyKind::Jump, 8.0, "scene-1")));
        assert!(kill.excuses_alone(&saw(then, AnomalyKind::Blinked, 1.0, "scene-2")), "onlookers");
        let taken_over = Sighting { former_scene: "scene-1".to_owned(), ..saw(then, AnomalyKind::Jump, 8.0, "scene-2") };
        assert!(kill.excuses_alone(&taken_over));
        let unexcused = [
            saw(then, AnomalyKind::Jump, 30.0, "scene-1"),
            saw(then, AnomalyKind::Jump, 8.0, "scene-2"),
            saw(start, AnomalyKind::Jump, 8.0, "scene-1"),
            saw(kill.over + AFTERMATH * 2, AnomalyKind::Jump, 8.0, "scene-1"),
            saw(then, AnomalyKind::Disconnected, 1.0, "scene-1"),
            saw(then, AnomalyKind::EventGap, 1.0, "scene-1"),
            saw(then, AnomalyKind::BelongingsBack, 1.0, "scene-1"),
            saw(then, AnomalyKind::Twice, 1.0, "scene-1"),
        ];
        let verdict = judge(&[kill], &unexcused);
        assert_eq!(verdict.anomalies, unexcused);
        assert!(verdict.allowed.is_empty());
    }

    #[test]
    fn an_orderly_restart_excuses_no_step_back() {
        let start = Instant::now();
        let restart = episode(start, FaultKind::Restart(Role::Scene), Victim::Node(SCENE));
        assert!(restart.excuses_alone(&saw(restart.began, AnomalyKind::UpdateGap, 2_100.0, "scene-1")));
        assert!(!restart.excuses_alone(&saw(restart.began, AnomalyKind::InputBack, 1.0, "scene-1")));
    }

    #[test]
    fn play_goes_on_without_world_data_and_disk() {
        let start = Instant::now();
        let nodes = [Role::World, Role::Data].map(|role| Victim::Node(NodeId::new(role, 1)));
        let world = episode(start, FaultKind::Kill(Role::World), nodes[0]);
        let data = episode(start, FaultKind::Pause(Role::Data), nodes[1]);
        let disk = episode(start, FaultKind::FullDisk, Victim::Disk);
        for episode in [&world, &data, &disk] {
            for kind in [AnomalyKind::UpdateGap, AnomalyKind::InputBack, AnomalyKind::EventGap, AnomalyKind::Disconnected] {
                assert!(!episode.excuses_alone(&saw(episode.began, kind, 1.0, "scene-1")), "{kind:?} by {}", episode.fault);
            }
        }
        let crossing = saw(data.began, AnomalyKind::Vanished, 1_000.0, "scene-1");
        assert!(
            data.excuses_alone(&crossing) && disk.excuses_alone(&crossing),
            "who is between two shards waits for the journal"
        );
        assert!(!world.excuses_alone(&crossing));
        let paused = episode(start, FaultKind::Pause(Role::World), nodes[0]);
        assert!(paused.excuses_alone(&crossing), "leases run out meanwhile");
        let jump = saw(data.began, AnomalyKind::Jump, 12.0, "scene-1");
        assert!(!data.excuses_alone(&jump), "who paid sees himself walking on while that is not durable");
    }

    #[test]
    fn a_shard_that_stands_still_in_its_move_waits_for_data_and_is_not_set_back() {
        let start = Instant::now();
        let (from, to) = (SCENE, NodeId::new(Role::Scene, 2));
        let data = Victim::Move { killed: NodeId::new(Role::Data, 1), from, to };
        let kill = episode(start, FaultKind::Kill(Role::Data), data);
        for scene in ["scene-1", "scene-2"] {
            assert!(kill.excuses_alone(&saw(kill.began, AnomalyKind::UpdateGap, 1_900.0, scene)));
            assert!(!kill.excuses_alone(&saw(kill.began, AnomalyKind::Jump, 5.0, scene)));
        }
        assert!(!kill.excuses_alone(&saw(kill.began, AnomalyKind::UpdateGap, 1_900.0, "scene-3")));
        let target = episode(start, FaultKind::Kill(Role::Scene), Victim::Move { killed: to, from, to });
        assert!(
            target.excuses_alone(&saw(target.began, AnomalyKind::Jump, 5.0, "scene-1")),
            "it may have been the target's already"
        );
    }

    #[test]
    fn a_scene_cut_off_from_the_world_may_lose_its_shards_whichever_way_the_link_is_named() {
        let start = Instant::now();
        for victim in [Victim::Link(SCENE, WORLD), Victim::Link(WORLD, SCENE)] {
            let cut = episode(start, FaultKind::CutLink, victim);
            assert!(cut.excuses_alone(&saw(cut.began, AnomalyKind::Jump, 5.0, "scene-1")));
            assert!(!cut.excuses_alone(&saw(cut.began, AnomalyKind::Disconnected, 1.0, "scene-1")));
        }
    }

    #[test]
    fn a_lease_may_run_out_after_its_link_was_healed_until_that_is_dialed_anew() {
        let start = Instant::now();
        let cut = |victim| episode(start, FaultKind::CutLink, victim);
        let (world, data) = (cut(Victim::Link(SCENE, WORLD)), cut(Victim::Link(SCENE, NodeId::new(Role::Data, 1))));
        let late = world.over + AFTERMATH + REDIAL_MAX / 2;
        let back = saw(late, AnomalyKind::InputBack, 2.0, "scene-1");
        assert!(world.excuses_alone(&back));
        assert!(!world.excuses_alone(&Sighting { at: late + REDIAL_MAX, ..back }));
        assert!(!data.excuses_alone(&saw(late, AnomalyKind::Vanished, 100.0, "scene-1")));
    }

    #[test]
    fn who_waits_for_a_journal_behind_a_cut_link_makes_up_for_late_steps_twice_and_no_more() {
        let start = Instant::now();
        let cut = episode(start, FaultKind::CutLink, Victim::Link(NodeId::new(Role::Gateway, 1), SCENE));
        let disk = episode(start, FaultKind::FullDisk, Victim::Disk);
        let jump = |way_m, scene| saw(cut.over, AnomalyKind::Jump, way_m, scene);
        let unexcused = |episodes: &[Episode], sight| judge(episodes, &[sight]).anomalies.len();
        let both = [disk.clone(), cut.clone()];
        assert_eq!(unexcused(&both, jump(6.3, "scene-1")), 0);
        assert_eq!(unexcused(&both, jump(9.0, "scene-1")), 1);
        assert_eq!(unexcused(&both, jump(6.3, "scene-2")), 1);
        assert_eq!(unexcused(std::slice::from_ref(&cut), jump(6.3, "scene-1")), 1);
        assert_eq!(unexcused(&[disk], jump(6.3, "scene-1")), 1);
    }

    #[test]
    fn a_scene_that_is_lost_while_a_journal_is_away_sets_back_by_as_much_more() {
        let start = Instant::now();
        let pause = episode(start, FaultKind::Pause(Role::Scene), Victim::Node(SCENE));
        let data = episode(start, FaultKind::Pause(Role::Data), Victim::Node(NodeId::new(Role::Data, 1)));
        let back = |inputs| saw(pause.began, AnomalyKind::InputBack, inputs, "scene-1");
        let unexcused = |episodes: &[Episode], inputs| judge(episodes, &[back(inputs)]).anomalies.len();
        let alone = std::slice::from_ref(&pause);
        assert_eq!((unexcused(alone, 25.0), unexcused(alone, 26.0)), (0, 1));
        let both = [pause.clone(), data.clone()];
        assert_eq!((unexcused(&both, 87.0), unexcused(&both, 88.0)), (0, 1), "one second, and 2.5 more");
        let later = Episode { began: pause.over + AFTERMATH * 2, over: pause.over + AFTERMATH * 3, ..data.clone() };
        assert_eq!(unexcused(&[pause.clone(), later], 26.0), 1, "not at the same time");
        let cut = episode(start, FaultKind::CutLink, Victim::Link(WORLD, SCENE));
        assert_eq!(
            (unexcused(std::slice::from_ref(&cut), 26.0), unexcused(&[cut.clone(), data.clone()], 87.0)),
            (1, 0),
            "it loses its shards"
        );
        assert_eq!(unexcused(&[data], 1.0), 1, "nobody is set back by data alone");
    }

    #[test]
    fn who_is_sent_to_a_gateway_with_nothing_to_show_may_give_it_up() {
        let start = Instant::now();
        let gateway = |n| Victim::Node(NodeId::new(Role::Gateway, n));
        let (restart, disk) =
            (episode(start, FaultKind::Restart(Role::Gateway), gateway(2)), (FaultKind::FullDisk, Victim::Disk));
        let disk = episode(start, disk.0, disk.1);
        let lost = saw(restart.began, AnomalyKind::Disconnected, 1.0, "scene-1");
        assert_eq!(judge(&[restart.clone(), disk.clone()], std::slice::from_ref(&lost)).anomalies, []);
        for alone in [restart.clone(), disk] {
            assert_eq!(judge(&[alone], std::slice::from_ref(&lost)).anomalies.len(), 1);
        }
        let late = saw(restart.began, AnomalyKind::SlowReturn, 2_400.0, "scene-1");
        let pause = episode(start, FaultKind::Pause(Role::Gateway), gateway(1));
        assert!(pause.excuses_alone(&late) && !restart.excuses_alone(&late));
        let scene = episode(start, FaultKind::Pause(Role::Scene), Victim::Node(SCENE));
        assert!(scene.excuses_alone(&late) && !scene.excuses_alone(&saw(scene.began, late.kind, late.size, "scene-2")));
    }

    #[test]
    fn a_link_that_was_held_shows_where_all_walked_meanwhile_and_no_farther() {
        let start = Instant::now();
        let link = Victim::Link(SCENE, NodeId::new(Role::Gateway, 1));
        let (held, cut) = (episode(start, FaultKind::HoldLink, link), episode(start, FaultKind::CutLink, link));
        let jump = |way_m| saw(held.began, AnomalyKind::Jump, way_m, "scene-1");
        assert!(held.excuses_alone(&jump(19.0)) && !held.excuses_alone(&jump(21.0)), "a second, and what comes after");
        assert!(!cut.excuses_alone(&jump(5.0)));
    }

    #[test]
    fn what_is_allowed_is_counted_and_named() {
        let start = Instant::now();
        let kill = episode(start, FaultKind::Kill(Role::Gateway), Victim::Node(NodeId::new(Role::Gateway, 1)));
        let lost = saw(kill.began, AnomalyKind::Disconnected, 1.0, "scene-2");
        let verdict = judge(&[kill], &[lost.clone(), lost]);
        assert_eq!(verdict.allowed["kill_gateway"]["disconnected"], 2);
        assert!(verdict.anomalies.is_empty());
    }

    const HOST: Victim = Victim::Host { host: 1, of: 3 };

    fn at_gateway(n: u16, sighting: Sighting) -> Sighting {
        Sighting { gateway: format!("gateway-{n}"), ..sighting }
    }

    #[test]
    fn a_killed_host_excuses_what_its_processes_would_and_nothing_elsewhere() {
        let start = Instant::now();
        let kill = episode(start, FaultKind::KillHost, HOST);
        let alone = |sighting| judge(std::slice::from_ref(&kill), &[sighting]).anomalies.is_empty();
        let at = |gateway, kind, size, scene: &str| at_gateway(gateway, saw(kill.began, kind, size, scene));
        assert!(alone(at(2, AnomalyKind::Jump, 10.0, "scene-1")), "its scene's agents live a second again");
        assert!(!alone(at(2, AnomalyKind::Jump, 12.0, "scene-1")), "and no more: its journal was there until it died");
        assert!(!alone(at(1, AnomalyKind::Jump, 5.0, "scene-2")), "nobody else's do");
        assert!(alone(at(2, AnomalyKind::InputBack, 25.0, "scene-1")) && !alone(at(2, AnomalyKind::InputBack, 26.0, "scene-1")));
        assert!(alone(at(1, AnomalyKind::UpdateGap, 2_400.0, "scene-2")), "its gateway's clients see nothing for a while");
        assert!(!alone(at(2, AnomalyKind::UpdateGap, 2_400.0, "scene-2")), "other gateways' clients see all but its scene");
        assert!(alone(at(3, AnomalyKind::Vanished, 2_000.0, "scene-2")), "who crosses waits for the engine");
        for kind in [AnomalyKind::EventGap, AnomalyKind::BelongingsBack, AnomalyKind::Twice] {
            assert!(!alone(at(1, kind, 1.0, "scene-1")), "{kind:?}");
        }
    }

    #[test]
    fn a_host_that_was_away_is_set_back_by_what_nobody_wrote_down_and_its_picture_catches_up() {
        let start = Instant::now();
        let of = |kind| episode(start, kind, HOST);
        let jump = |scene: &str, way_m| at_gateway(2, saw(start + Duration::from_secs(10), AnomalyKind::Jump, way_m, scene));
        for kind in [FaultKind::PauseHost, FaultKind::CutHost] {
            let away = of(kind);
            assert!(away.excuses_alone(&jump("scene-1", 26.0)) && !away.excuses_alone(&jump("scene-1", 27.0)), "{kind:?}");
            assert!(away.excuses_alone(&at_gateway(1, jump("scene-2", 19.0))), "{kind:?}: the picture stood still");
            assert!(!away.excuses_alone(&jump("scene-2", 5.0)), "{kind:?}: others' scenes and pictures go on");
        }
        let back = |inputs| at_gateway(2, saw(start + Duration::from_secs(10), AnomalyKind::InputBack, inputs, "scene-1"));
        for kind in [FaultKind::PauseHost, FaultKind::CutHost, FaultKind::MuteHost, FaultKind::DeafenHost] {
            let away = of(kind);
            assert!(away.excuses_alone(&back(87.0)) && !away.excuses_alone(&back(88.0)), "{kind:?}: one second, and 2.5 more");
        }
    }

    #[test]
    fn a_host_away_keeps_a_journal_from_others_that_are_hurt_meanwhile_but_not_twice_from_itself() {
        let start = Instant::now();
        let cut = episode(start, FaultKind::CutHost, HOST);
        let kill = episode(start, FaultKind::Kill(Role::Scene), Victim::Node(NodeId::new(Role::Scene, 2)));
        let back = |scene: &str, inputs| at_gateway(3, saw(cut.began, AnomalyKind::InputBack, inputs, scene));
        let unexcused = |episodes: &[Episode], sighting| judge(episodes, &[sighting]).anomalies.len();
        let of_two = || back("scene-2", 80.0);
        assert_eq!((unexcused(std::slice::from_ref(&kill), of_two()), unexcused(&[kill, cut.clone()], of_two())), (1, 0));
        let of_one = || back("scene-1", 140.0);
        assert_eq!(unexcused(std::slice::from_ref(&cut), of_one()), 1);
        let data = episode(start, FaultKind::Pause(Role::Data), Victim::Node(NodeId::new(Role::Data, 2)));
        assert_eq!(unexcused(&[cut.clone(), data], of_one()), 0, "a journal that was away beside it");
    }

    #[test]
    fn a_host_with_a_bad_network_delays_crossings_and_nothing_else() {
        let start = Instant::now();
        for kind in [FaultKind::LagHost, FaultKind::LoseHost] {
            let bad = episode(start, kind, HOST);
            assert!(bad.excuses_alone(&saw(bad.began, AnomalyKind::Vanished, 1_500.0, "scene-2")), "{kind:?}");
            for sight in [AnomalyKind::Jump, AnomalyKind::UpdateGap, AnomalyKind::Disconnected, AnomalyKind::InputBack] {
                assert!(!bad.excuses_alone(&saw(bad.began, sight, 1.0, "scene-1")), "{kind:?} {sight:?}");
            }
            let scene = episode(start, FaultKind::Kill(Role::Scene), Victim::Node(SCENE));
            let back = saw(scene.began, AnomalyKind::InputBack, 26.0, "scene-1");
            assert_eq!(judge(&[scene, bad], &[back]).anomalies.len(), 1, "journals are slow then, not away");
        }
    }
}
