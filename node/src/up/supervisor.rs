//! The children of a cluster: started, watched, started again, and ended in order.
//!
//! | a child | event | next |
//! |---|---|---|
//! | running | it exits | dead: reported by [`Supervisor::poll_deaths`]; a restart is due unless it died too often |
//! | dead, restart due | [`Supervisor::restart_due`] | running |
//! | running | [`DEATHS_MAX`] deaths within [`DEATHS_WITHIN`] | dead: a restart is due after [`REST`] |
//! | running | [`Supervisor::stop_all`] | stdin closed, waited for, killed after its grace |

use std::collections::VecDeque;
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::child::{Child, ChildSpec, Ended};

/// A child that dies this often …
pub(super) const DEATHS_MAX: usize = 5;
/// … within this time …
pub(super) const DEATHS_WITHIN: Duration = Duration::from_secs(10);
/// … is started again only after this.
pub(super) const REST: Duration = Duration::from_secs(30);
/// Pause before a dead child is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// Who ends when, by the start of their names; within a group all at once. Who is not named ends first.
const STOP_ORDER: [(&str, Duration); 6] = [
    ("gateway", Duration::from_secs(5)),
    ("scene", Duration::from_secs(15)),
    ("auth", Duration::from_secs(5)),
    ("data", Duration::from_secs(15)),
    ("world", Duration::from_secs(5)),
    ("nats", Duration::from_secs(15)),
];
/// Grace of those who are not in [`STOP_ORDER`].
const STOP_GRACE_OTHERS: Duration = Duration::from_secs(3);

/// A child that exited though nobody asked it to. Its text is for people.
#[derive(Debug)]
pub struct Death {
    /// Which.
    pub name: String,
    /// The process that was.
    pub pid: Option<u32>,
    status: ExitStatus,
    last_lines: Vec<String>,
    log: std::path::PathBuf,
    rests: bool,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} died ({}). Its last words:", self.name, self.status)?;
        for line in &self.last_lines {
            writeln!(f, "    {line}")?;
        }
        write!(f, "  All of its log: {}", self.log.display())?;
        if self.rests {
            let (within, rest) = (DEATHS_WITHIN.as_secs(), REST.as_secs());
            write!(f, "\n  It died {DEATHS_MAX} times in {within} s and is started again in {rest} s.")?;
        }
        Ok(())
    }
}

struct Member {
    spec: ChildSpec,
    state: State,
    deaths: VecDeque<Instant>,
}

enum State {
    Running(Box<Child>, Option<u32>),
    Dead { restart_at: Instant },
    Ended,
}

/// See the module.
pub struct Supervisor {
    members: Vec<Member>,
    calm: bool,
}

impl Supervisor {
    /// Start all.
    ///
    /// # Errors
    /// One cannot be started; those before it are killed.
    pub fn start(specs: Vec<ChildSpec>) -> anyhow::Result<Self> {
        let mut supervisor = Self { members: Vec::new(), calm: true };
        for spec in specs {
            supervisor.add(spec)?;
        }
        Ok(supervisor)
    }

    /// Start one more.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn add(&mut self, spec: ChildSpec) -> anyhow::Result<()> {
        let child = Child::start(&spec)?;
        let pid = child.pid();
        child.set_calm(self.calm);
        self.members.push(Member { spec, state: State::Running(Box::new(child), pid), deaths: VecDeque::new() });
        Ok(())
    }

    /// End one for good: it is not started again. `None`: there is none of this name that has not ended.
    pub async fn end(&mut self, name: &str, grace: Duration) -> Option<Ended> {
        let at = self.members.iter().position(|member| member.spec.name == name)?;
        match self.members.remove(at).state {
            State::Running(child, _) => Some(child.stop(grace).await),
            State::Dead { .. } => Some(Ended::InOrder),
            State::Ended => None,
        }
    }

    /// Who died since the last look.
    pub fn poll_deaths(&mut self) -> Vec<Death> {
        let now = Instant::now();
        self.members.iter_mut().filter_map(|member| member.poll_death(now)).collect()
    }

    /// Start the dead whose pause is over. One that cannot be started counts as dead again.
    pub fn restart_due(&mut self) {
        self.restart_due_by(Instant::now());
    }

    fn restart_due_by(&mut self, now: Instant) {
        for member in &mut self.members {
            let State::Dead { restart_at } = member.state else { continue };
            if restart_at > now {
                continue;
            }
            match Child::start(&member.spec) {
                Ok(child) => {
                    let pid = child.pid();
                    child.set_calm(self.calm);
                    tracing::info!(name = %member.spec.name, ?pid, "started again");
                    member.state = State::Running(Box::new(child), pid);
                }
                Err(error) => {
                    tracing::error!(name = %member.spec.name, "cannot start again: {error:#}");
                    member.state = State::Dead { restart_at: now + DEATHS_WITHIN };
                }
            }
        }
    }

    /// Process ids of those who run, by name.
    pub fn running(&self) -> Vec<(&str, u32)> {
        let pid = |member: &Member| match &member.state {
            State::Running(_, pid) => *pid,
            State::Dead { .. } | State::Ended => None,
        };
        self.members.iter().filter_map(|member| Some((member.spec.name.as_str(), pid(member)?))).collect()
    }

    /// Whether only errors reach the terminal, or warnings too. Children start calm: while all come or go, warnings are no news.
    pub fn set_calm(&mut self, calm: bool) {
        self.calm = calm;
        for member in &self.members {
            if let State::Running(child, _) = &member.state {
                child.set_calm(calm);
            }
        }
    }

    /// End all in order. Returns what did not go well, in words.
    pub async fn stop_all(&mut self) -> Vec<String> {
        self.set_calm(true);
        let mut troubles = self.stop_group(|name| !STOP_ORDER.iter().any(|(role, _)| is_of(name, role)), STOP_GRACE_OTHERS).await;
        for (role, grace) in STOP_ORDER {
            troubles.extend(self.stop_group(|name| is_of(name, role), grace).await);
        }
        troubles
    }

    async fn stop_group(&mut self, is_in_group: impl Fn(&str) -> bool, grace: Duration) -> Vec<String> {
        let mut stopping = JoinSet::new();
        for member in self.members.iter_mut().filter(|member| is_in_group(&member.spec.name)) {
            if let State::Running(child, _) = std::mem::replace(&mut member.state, State::Ended) {
                let name = member.spec.name.clone();
                stopping.spawn(async move { (name, child.stop(grace).await) });
            }
        }
        let mut troubles = Vec::new();
        while let Some(ended) = stopping.join_next().await {
            match ended {
                Ok((_, Ended::InOrder)) => {}
                // What the bots found is in their own report.
                Ok((name, _)) if name == "bots" => {}
                Ok((name, Ended::Badly(status))) => troubles.push(format!("{name} ended badly ({status})")),
                Ok((name, Ended::Killed)) => {
                    troubles.push(format!("{name} did not end within {} s and was killed", grace.as_secs()))
                }
                Err(error) => troubles.push(format!("a task that ended a process failed: {error}")),
            }
        }
        troubles
    }
}

impl Member {
    fn poll_death(&mut self, now: Instant) -> Option<Death> {
        let State::Running(child, pid) = &mut self.state else { return None };
        let status = child.poll_exit()?;
        let (pid, last_lines) = (*pid, child.last_lines());
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|first| now.duration_since(*first) > DEATHS_WITHIN) {
            self.deaths.pop_front();
        }
        let rests = self.deaths.len() >= DEATHS_MAX;
        self.state = State::Dead { restart_at: now + if rests { REST } else { RESTART_PAUSE } };
        Some(Death { name: self.spec.name.clone(), pid, status, last_lines, log: self.spec.log.clone(), rests })
    }
}

fn is_of(name: &str, role: &str) -> bool {
    name.strip_prefix(role).is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shell(folder: &Path, name: &str, script: &str) -> ChildSpec {
        ChildSpec {
            name: name.to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            namespace: None,
            log: folder.join(format!("{name}.log")),
            verbose: false,
        }
    }

    async fn next_death(supervisor: &mut Supervisor) -> Death {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(death) = supervisor.poll_deaths().pop() {
                return death;
            }
            assert!(Instant::now() < deadline, "nobody died");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn all_end_in_order_when_their_stdin_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let note = |name: &str| format!("cat >/dev/null; echo {name} >> {}/order", folder.path().display());
        let names = ["world-1", "data-1", "auth-1", "scene-1", "gateway-1", "bots"];
        let specs = names.iter().map(|name| shell(folder.path(), name, &note(name))).collect();
        let mut supervisor = Supervisor::start(specs).expect("started");
        assert_eq!(supervisor.running().len(), names.len());
        assert_eq!(supervisor.stop_all().await, Vec::<String>::new());
        let order = std::fs::read_to_string(folder.path().join("order")).expect("written");
        assert_eq!(order.lines().collect::<Vec<_>>(), ["bots", "gateway-1", "scene-1", "auth-1", "data-1", "world-1"]);
        assert!(supervisor.running().is_empty());
    }

    #[tokio::test]
    async fn a_dead_role_is_started_again_and_rests_when_it_dies_too_often() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut supervisor =
            Supervisor::start(vec![shell(folder.path(), "scene-1", "echo ' INFO oh' >&2; exit 7")]).expect("started");
        for count in 1..=DEATHS_MAX {
            let death = next_death(&mut supervisor).await;
            assert_eq!(death.name, "scene-1");
            assert!(death.pid.is_some());
            assert_eq!(death.rests, count == DEATHS_MAX);
            let deadline = Instant::now() + Duration::from_secs(30);
            while count < DEATHS_MAX && supervisor.running().is_empty() {
                assert!(Instant::now() < deadline, "not started again");
                supervisor.restart_due();
                tokio::task::yield_now().await;
            }
        }
        supervisor.restart_due();
        assert!(supervisor.running().is_empty(), "it rests");
        supervisor.restart_due_by(Instant::now() + REST);
        assert_eq!(supervisor.running().len(), 1, "it is tried again");
    }

    #[tokio::test]
    async fn who_is_ended_for_good_is_not_started_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let idle = |name| shell(folder.path(), name, "cat >/dev/null");
        let mut supervisor = Supervisor::start(vec![idle("scene-1"), idle("scene-2")]).expect("started");
        assert_eq!(supervisor.end("scene-1", Duration::from_secs(30)).await, Some(Ended::InOrder));
        assert_eq!(supervisor.end("scene-1", Duration::from_secs(30)).await, None);
        supervisor.restart_due_by(Instant::now() + REST);
        assert!(supervisor.poll_deaths().is_empty());
        assert_eq!(supervisor.running().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["scene-2"]);
        supervisor.add(idle("scene-1")).expect("its name is free again");
    }

    #[tokio::test]
    async fn an_obituary_names_the_role_the_status_and_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut supervisor = Supervisor::start(vec![shell(folder.path(), "data-1", "exit 3")]).expect("started");
        let text = next_death(&mut supervisor).await.to_string();
        assert!(text.contains("data-1 died (exit status: 3)") && text.contains("data-1.log"), "{text}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error_in_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = ChildSpec { program: "/no/such/program".into(), ..shell(folder.path(), "scene-1", "") };
        let error = Supervisor::start(vec![spec]).err().expect("not there");
        assert!(format!("{error:#}").contains("cannot start scene-1 (/no/such/program)"), "{error:#}");
    }
}
