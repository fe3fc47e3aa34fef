//! The driver of an authentication process, and the bounded pool where passwords are hashed.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context as _;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, password_hash};
use axum::Router;
use crossbeam::channel::{Receiver, Sender};
use pangaea_world::auth::{Auth, AuthConfig, Input, JOBS_MAX, JobId, Output, Signer};

use super::process::{self, Context, Driver, Shell};
use crate::keys::ClusterKeys;
use crate::membership::Heard;
use crate::mesh::Inbox;

/// Threads that hash: each takes tens of milliseconds of a core per password.
const HASH_THREADS: usize = 2;
/// How long a ticket is good for: enough to walk from the login to a gateway.
const TICKET_VALID: Duration = Duration::from_secs(300);
/// Name of the cluster's key, in the tickets' footers.
const TICKET_KEY_NAME: &str = "k1";
/// How long the driver waits when the core has no deadline.
const IDLE_WAIT: Duration = Duration::from_secs(1);

/// Passwords that are done wake an authentication process too.
type Event = process::Event<Input>;

/// Work for the pool; a missing hash means: make one.
struct Job {
    id: JobId,
    password: String,
    phc: Option<String>,
}

pub(super) struct AuthDriver {
    auth: Auth,
    jobs: Sender<Job>,
}

impl Driver for AuthDriver {
    type Own = Input;

    async fn open(context: &Context<Event>) -> anyhow::Result<(Self, Router)> {
        let secret = ClusterKeys::below(&context.options.data_dir).ticket_secret()?;
        let config = AuthConfig {
            cluster: context.options.cluster.name.clone(),
            signer: Signer::new(TICKET_KEY_NAME, &secret)?,
            ticket_valid: TICKET_VALID,
            guests: context.options.guests,
            dummy_phc: hash("nobody's password").map_err(|error| anyhow::anyhow!("cannot hash a password: {error}"))?,
        };
        // The core has at most JOBS_MAX jobs out, so a send never waits.
        let (jobs, taken) = crossbeam::channel::bounded(JOBS_MAX * 2);
        for n in 0..HASH_THREADS {
            let (taken, inbox) = (taken.clone(), context.inbox.clone());
            let work = move || hash_for_ever(&taken, &inbox);
            std::thread::Builder::new().name(format!("hash-{n}")).spawn(work).context("cannot start a thread")?;
        }
        Ok((Self { auth: Auth::new(config), jobs }, Router::new()))
    }

    fn drive(mut self, mut shell: Shell<Event>) -> anyhow::Result<()> {
        let mut batch = VecDeque::new();
        loop {
            let deadline = self.auth.poll_timeout().map_or_else(|| shell.clock.now() + IDLE_WAIT, |(at, _)| at);
            shell.wait(deadline, &mut batch);
            for event in batch.drain(..) {
                match event {
                    Event::Mesh(event) => {
                        if let Some(Heard::Core { from, message }) = shell.hear(event)? {
                            self.auth.handle(shell.clock.now(), Input::Node { from, message });
                        }
                    }
                    Event::Own(input) => self.auth.handle(shell.clock.now(), input),
                    Event::Stop => {
                        shell.port.leave();
                        return Ok(());
                    }
                }
            }
            let now = shell.clock.now();
            shell.port.maintain(now);
            if self.auth.poll_timeout().is_some_and(|(at, _)| at <= now) {
                self.auth.handle_timeout(now);
            }
            self.drain(&mut shell);
        }
    }
}

impl AuthDriver {
    fn drain(&mut self, shell: &mut Shell<Event>) {
        while let Some(output) = self.auth.poll_output() {
            let job = match output {
                Output::Send(envelope) => {
                    shell.port.send(envelope);
                    continue;
                }
                Output::Hash { job, password } => Job { id: job, password, phc: None },
                Output::Verify { job, password, phc } => Job { id: job, password, phc: Some(phc) },
            };
            if self.jobs.try_send(job).is_err() {
                tracing::error!("the hash pool is full: the login will be given up");
            }
        }
    }
}

fn hash_for_ever(jobs: &Receiver<Job>, inbox: &Inbox<Event>) {
    for job in jobs {
        let began = std::time::Instant::now();
        let done = match job.phc {
            Some(phc) => Input::Verified { job: job.id, ok: matches(&job.password, &phc) },
            None => match hash(&job.password) {
                Ok(phc) => Input::Hashed { job: job.id, phc },
                Err(error) => {
                    tracing::error!(%error, "cannot hash a password");
                    continue;
                }
            },
        };
        metrics::histogram!("pangaea_hash_seconds").record(began.elapsed());
        if inbox.deliver_blocking(Event::Own(done)).is_err() {
            return;
        }
    }
}

/// argon2id with the crate's defaults (19 MiB, 2 passes) and a fresh salt, as a PHC string.
fn hash(password: &str) -> password_hash::Result<String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| password_hash::Error::Crypto)?;
    let salt = SaltString::encode_b64(&salt)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

fn matches(password: &str, phc: &str) -> bool {
    match PasswordHash::new(phc) {
        Ok(hash) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a stored password hash is damaged");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let phc = hash("correct horse").expect("hashed");
        assert!(phc.starts_with("$argon2id$"), "{phc}");
        assert!(matches("correct horse", &phc));
        assert!(!matches("battery staple", &phc));
        assert!(!matches("correct horse", "damaged"));
        assert_ne!(phc, hash("correct horse").expect("hashed"), "salts differ");
    }
}
