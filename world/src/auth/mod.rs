//! Authentication: names and passwords in, signed tickets out.
//!
//! The core hashes nothing itself: argon2 takes tens of milliseconds, so passwords go out as jobs for the shell's bounded pool
//! and come back as [`Input`]. Accounts are rows of `Table::Accounts`; a login's count is raised there, durably, before its
//! ticket is signed, so two tickets never carry the same count. The states of one login are in [`login`].
//!
//! What an attacker learns: that a name exists only by registering it. A wrong name costs the same hash as a wrong password.

mod account;
mod ids;
mod lockout;
mod login;
mod rules;
mod ticket;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use pangaea_schemas::message::{
    Address, AuthReply, AuthRequest, Credentials, Envelope, JournalReply, LoginRefusal, Message, Table, TableOp, TableReply,
    TableRequest,
};
use pangaea_schemas::{NodeId, RequestId, Timestamp};

pub use account::{Account, AccountError};
pub use lockout::{ATTEMPTS_FREE, LOCKED_NAMES_MAX, WAIT_FIRST, WAIT_MAX};
pub use ticket::{KeyError, Signer};

use ids::Ids;
use lockout::Lockouts;
use login::{Login, LoginEvent, Step};

/// Most logins under way; beyond it: unavailable, try again.
pub const LOGINS_MAX: usize = 1_024;
/// Most passwords waiting for or being hashed; at 50 ms and two threads the last one waits for 3 s.
pub const JOBS_MAX: usize = 128;
/// What a hash is taken to cost when telling clients how long to wait.
pub const JOB_COST: Duration = Duration::from_millis(50);
/// A login that takes longer is given up.
pub const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// A question to the accounts is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What an authentication server starts with.
#[derive(Debug)]
pub struct AuthConfig {
    /// Tickets are for this cluster.
    pub cluster: String,
    /// Signs them.
    pub signer: Signer,
    /// How long a ticket is good for.
    pub ticket_valid: Duration,
    /// Whether guests are let in; development clusters only.
    pub guests: bool,
    /// A hash, with the parameters in use, of a password that nobody has: for names that do not exist.
    pub dummy_phc: String,
}

/// Names a password job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What wakes the core.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message.
    Node {
        /// Who sent it.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// A password was hashed.
    Hashed {
        /// Which job.
        job: JobId,
        /// The hash in PHC string format.
        phc: String,
    },
    /// A password was compared.
    Verified {
        /// Which job.
        job: JobId,
        /// It is the one.
        ok: bool,
    },
}

/// What the shell is to do.
#[derive(Clone, PartialEq)]
pub enum Output {
    /// Send a message.
    Send(Envelope),
    /// Hash a password with a fresh salt.
    Hash {
        /// To be echoed.
        job: JobId,
        /// In the clear.
        password: String,
    },
    /// Compare a password with a hash.
    Verify {
        /// To be echoed.
        job: JobId,
        /// In the clear.
        password: String,
        /// The hash in PHC string format.
        phc: String,
    },
}

/// Passwords, hashes and tickets never reach a log.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(envelope) => f.debug_struct("Send").field("to", &envelope.to).finish_non_exhaustive(),
            Self::Hash { job, .. } => f.debug_struct("Hash").field("job", job).finish_non_exhaustive(),
            Self::Verify { job, .. } => f.debug_struct("Verify").field("job", job).finish_non_exhaustive(),
        }
    }
}

/// An authentication server.
#[derive(Debug)]
pub struct Auth {
    config: AuthConfig,
    logins: BTreeMap<u64, Pending>,
    last_login: u64,
    /// Passwords at the shell, and whose; a login may be given up before its job ends.
    jobs: BTreeMap<JobId, u64>,
    last_job: u64,
    /// Questions to the accounts, and whose.
    questions: BTreeMap<RequestId, u64>,
    last_request: u64,
    ids: Ids,
    lockouts: Lockouts,
    outputs: VecDeque<Output>,
}

/// A login under way.
#[derive(Debug)]
struct Pending {
    from: NodeId,
    request: RequestId,
    login: Login,
    until: Timestamp,
    asked: Option<Asked>,
}

/// The question that a login waits for.
struct Asked {
    question: RequestId,
    message: Message,
    again: Timestamp,
}

/// A question may carry a hash, and hashes never reach a log.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("question", &self.question).field("again", &self.again).finish_non_exhaustive()
    }
}

impl Auth {
    /// A server that knows nobody yet.
    pub fn new(config: AuthConfig) -> Self {
        Self {
            config,
            logins: BTreeMap::new(),
            last_login: 0,
            jobs: BTreeMap::new(),
            last_job: 0,
            questions: BTreeMap::new(),
            last_request: 0,
            ids: Ids::default(),
            lockouts: Lockouts::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Acts on a message or a finished job.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Node { from, message: Message::AuthRequest(AuthRequest::Login { request, credentials }) } => {
                self.begin(now, from, request, credentials);
            }
            Input::Node { message: Message::TableReply(reply), .. } => self.answered(now, &reply),
            Input::Node { message: Message::JournalReply(JournalReply::IdBlock { request, first, count }), .. } => {
                self.ids.add(request, first, count);
                self.hand_out_ids(now);
            }
            Input::Node { from, message } => tracing::debug!(%from, ?message, "a message that is not for auth"),
            Input::Hashed { job, phc } => self.job_done(now, job, LoginEvent::Hashed(phc)),
            Input::Verified { job, ok } => self.job_done(now, job, LoginEvent::Verified(ok)),
        }
        self.ask_for_ids(now);
    }

    /// Asks again what was not answered, and gives up what took too long.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let over: Vec<u64> = self.logins.iter().filter(|(_, p)| p.until <= now).map(|(id, _)| *id).collect();
        for id in over {
            self.finish_unavailable(id, ASK_AGAIN);
        }
        for pending in self.logins.values_mut() {
            if let Some(asked) = pending.asked.as_mut().filter(|asked| asked.again <= now) {
                asked.again = now + ASK_AGAIN;
                self.outputs.push_back(to_data(asked.message.clone()));
            }
        }
        self.ask_for_ids(now);
    }

    /// The next effect.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When something is to be asked again or given up.
    pub fn poll_timeout(&self) -> Option<(Timestamp, &'static str)> {
        let limits = self.logins.values().map(|pending| (pending.until, "login limit"));
        let asks = self.logins.values().filter_map(|p| p.asked.as_ref()).map(|asked| (asked.again, "ask again"));
        limits.chain(asks).chain(self.ids.poll_timeout()).min()
    }

    fn begin(&mut self, now: Timestamp, from: NodeId, request: RequestId, credentials: Credentials) {
        if self.logins.values().any(|pending| (pending.from, pending.request) == (from, request)) {
            return;
        }
        if self.logins.len() >= LOGINS_MAX {
            return self.refuse(from, request, LoginRefusal::Unavailable, JOB_COST * JOBS_MAX as u32);
        }
        let (login, step) = match Login::begin(credentials, self.config.guests) {
            Ok(begun) => begun,
            Err(reason) => return self.refuse(from, request, reason, Duration::ZERO),
        };
        if let Some(name) = login.guarded_name()
            && let Err(wait) = self.lockouts.attempt(now, name)
        {
            return self.refuse(from, request, LoginRefusal::LockedOut, wait);
        }
        self.last_login += 1;
        let pending = Pending { from, request, login, until: now + LOGIN_LIMIT, asked: None };
        self.logins.insert(self.last_login, pending);
        self.act(now, self.last_login, step);
    }

    /// An answer of the accounts; one that nobody waits for any more changes nothing.
    fn answered(&mut self, now: Timestamp, reply: &TableReply) {
        let (TableReply::Row { request, .. }
        | TableReply::Rows { request, .. }
        | TableReply::Done { request, .. }
        | TableReply::Conflict { request, .. }
        | TableReply::Failed { request, .. }) = reply;
        let Some(id) = self.questions.get(request).copied() else { return };
        let event = match reply {
            TableReply::Row { revision, value, .. } => LoginEvent::Row(*revision, value.clone()),
            TableReply::Done { .. } => LoginEvent::Stored,
            TableReply::Conflict { .. } => LoginEvent::Conflict,
            // Asked again after a while: accounts may be away for a moment.
            TableReply::Failed { .. } | TableReply::Rows { .. } => return,
        };
        self.questions.remove(request);
        self.advance(now, id, event);
    }

    fn job_done(&mut self, now: Timestamp, job: JobId, event: LoginEvent) {
        if let Some(id) = self.jobs.remove(&job) {
            self.advance(now, id, event);
        }
    }

    fn advance(&mut self, now: Timestamp, id: u64, event: LoginEvent) {
        let Some(pending) = self.logins.get_mut(&id) else { return };
        pending.asked = None;
        let step = pending.login.step(event);
        self.act(now, id, step);
    }

    /// Does what a login needs next.
    fn act(&mut self, now: Timestamp, id: u64, step: Step) {
        match step {
            Step::Wait => {}
            Step::Ask { key, op } => self.ask(now, id, key, op),
            Step::Hash { password } => {
                if let Some(job) = self.job(id) {
                    self.outputs.push_back(Output::Hash { job, password });
                }
            }
            Step::Verify { password, phc } => {
                let phc = phc.unwrap_or_else(|| self.config.dummy_phc.clone());
                if let Some(job) = self.job(id) {
                    self.outputs.push_back(Output::Verify { job, password, phc });
                }
            }
            Step::NeedIds => self.hand_out_ids(now),
            Step::Refuse(reason) => self.finish_refused(now, id, reason),
            Step::Admit(account) => self.finish_admitted(now, id, &account),
        }
    }

    fn ask(&mut self, now: Timestamp, id: u64, key: String, op: TableOp) {
        let question = self.next_request();
        let message = Message::TableRequest(TableRequest { request: question, table: Table::Accounts, key, op });
        self.questions.insert(question, id);
        if let Some(pending) = self.logins.get_mut(&id) {
            pending.asked = Some(Asked { question, message: message.clone(), again: now + ASK_AGAIN });
        }
        self.outputs.push_back(to_data(message));
    }

    /// A job for the shell; without room the login ends.
    fn job(&mut self, id: u64) -> Option<JobId> {
        if self.jobs.len() >= JOBS_MAX {
            self.finish_unavailable(id, JOB_COST * JOBS_MAX as u32);
            return None;
        }
        self.last_job += 1;
        let job = JobId(self.last_job);
        self.jobs.insert(job, id);
        Some(job)
    }

    /// Serves the logins that wait for ids, oldest first.
    fn hand_out_ids(&mut self, now: Timestamp) {
        let waiting: Vec<u64> = self.logins.iter().filter(|(_, p)| p.login.needs_ids()).map(|(id, _)| *id).collect();
        for id in waiting {
            let Some((account, agent)) = self.ids.pair() else { return };
            self.advance(now, id, LoginEvent::Ids { account, agent });
        }
    }

    fn ask_for_ids(&mut self, now: Timestamp) {
        if self.ids.ask_due(now) {
            let request = self.next_request();
            self.outputs.push_back(to_data(self.ids.ask(now, request)));
        }
    }

    fn finish_admitted(&mut self, now: Timestamp, id: u64, account: &Account) {
        let Some(pending) = self.end(id) else { return };
        if let Some(name) = pending.login.guarded_name() {
            self.lockouts.succeeded(name);
        }
        let claims = account.claims(&self.config.cluster, now + self.config.ticket_valid);
        match self.config.signer.sign(&claims) {
            Ok(ticket) => {
                let reply =
                    AuthReply::Ticket { request: pending.request, ticket, agent: account.agent, name: account.name.clone() };
                self.reply(pending.from, reply);
            }
            Err(error) => {
                tracing::error!(%error, "a ticket could not be signed");
                self.refuse(pending.from, pending.request, LoginRefusal::Unavailable, ASK_AGAIN);
            }
        }
    }

    fn finish_refused(&mut self, now: Timestamp, id: u64, reason: LoginRefusal) {
        let Some(pending) = self.end(id) else { return };
        let mut wait = Duration::ZERO;
        if let Some(name) = pending.login.guarded_name() {
            match reason {
                LoginRefusal::Credentials => wait = self.lockouts.wait(now, name),
                LoginRefusal::NameTaken
                | LoginRefusal::Form
                | LoginRefusal::LockedOut
                | LoginRefusal::NoGuests
                | LoginRefusal::Unavailable => self.lockouts.forgive(name),
            }
        }
        if reason == LoginRefusal::Unavailable {
            wait = ASK_AGAIN;
        }
        self.refuse(pending.from, pending.request, reason, wait);
    }

    fn finish_unavailable(&mut self, id: u64, retry_after: Duration) {
        let Some(pending) = self.end(id) else { return };
        if let Some(name) = pending.login.guarded_name() {
            self.lockouts.forgive(name);
        }
        self.refuse(pending.from, pending.request, LoginRefusal::Unavailable, retry_after);
    }

    fn end(&mut self, id: u64) -> Option<Pending> {
        let pending = self.logins.remove(&id)?;
        if let Some(asked) = &pending.asked {
            self.questions.remove(&asked.question);
        }
        Some(pending)
    }

    fn refuse(&mut self, to: NodeId, request: RequestId, reason: LoginRefusal, retry_after: Duration) {
        let retry_after_ms = retry_after.as_millis().min(u128::from(u32::MAX)) as u32;
        self.reply(to, AuthReply::Refused { request, reason, retry_after_ms });
    }

    fn reply(&mut self, to: NodeId, reply: AuthReply) {
        self.outputs.push_back(Output::Send(Envelope { to: Address::Node(to), message: Message::AuthReply(reply) }));
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }
}

fn to_data(message: Message) -> Output {
    Output::Send(Envelope { to: Address::Data, message })
}
