//! One login, from credentials to an account whose count is raised durably.
//!
//! | state | event | next | asks for |
//! |---|---|---|---|
//! | (begin) | password | `Reading` | the row |
//! | (begin) | guest | `NamingGuest` | ids |
//! | `Reading`, register | no row | `Hashing` | a hash |
//! | `Reading`, register | a row | `Done` | refuse: name taken |
//! | `Reading` | no row | `Burning` | a comparison with the dummy hash |
//! | `Reading` | a row | `Verifying` | a comparison |
//! | `Hashing` | hash | `Naming` | ids |
//! | `Naming` | ids | `Creating` | put if absent, login count 1 |
//! | `Creating` | stored | `Done` | admit |
//! | `Creating` | conflict | `Checking` | the row: an answer may have been lost |
//! | `Checking` | a row | `Done` | admit if it is ours, else refuse: name taken |
//! | `Burning` | compared | `Done` | refuse: credentials |
//! | `Verifying` | wrong | `Done` | refuse: credentials |
//! | `Verifying` | right | `Raising` | put the raised count at the row's revision |
//! | `Raising` | stored | `Done` | admit |
//! | `Raising` | conflict | `Rereading` | the row: another login was faster, or an answer was lost |
//! | `Rereading` | the same account and hash | `Raising` | put, at most [`RAISES_MAX`] times |
//! | `Rereading` | anything else | `Done` | refuse: unavailable |
//! | `NamingGuest` | ids | `Done` | admit: a fresh account has no older logins, so nothing is stored |
//!
//! A row that cannot be read refuses as unavailable. Every other event changes nothing.

use bytes::Bytes;
use pangaea_schemas::message::{Credentials, LoginRefusal, TableOp};
use pangaea_schemas::{AccountId, EntityId, Revision};

use super::Account;
use super::rules::{is_name, is_password};

/// How often a raised count is put before the login is given up.
pub(crate) const RAISES_MAX: u32 = 8;

/// A login under way.
#[derive(Debug)]
pub(crate) struct Login {
    /// Lower-case name; empty for guests.
    key: String,
    register: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Reading { name: String, password: Secret },
    Hashing { name: String },
    Naming { name: String, phc: Secret },
    Creating { account: Account },
    Checking { account: Account },
    Burning,
    Verifying { account: Account, revision: Revision },
    Raising { raised: Account, tries: u32 },
    Rereading { raised: Account, tries: u32 },
    NamingGuest { wish: String },
    Done,
}

struct Secret(String);

/// Passwords and hashes never reach a log.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What a login waits for.
#[derive(Debug)]
pub(crate) enum LoginEvent {
    /// The row under its key.
    Row(Revision, Option<Bytes>),
    /// Its change is durable.
    Stored,
    /// Its change met another revision.
    Conflict,
    /// Its password's hash.
    Hashed(String),
    /// Its password is the right one.
    Verified(bool),
    /// Fresh names.
    Ids { account: AccountId, agent: EntityId },
}

/// What a login needs next.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Nothing new.
    Wait,
    /// Something of its row.
    Ask { key: String, op: TableOp },
    /// A hash.
    Hash { password: String },
    /// A comparison; `None`: with the dummy.
    Verify { password: String, phc: Option<String> },
    /// An account id and an agent id.
    NeedIds,
    /// It ends without a ticket.
    Refuse(LoginRefusal),
    /// It ends with a ticket.
    Admit(Account),
}

impl Login {
    /// A new login and its first need, or why there is none.
    pub(crate) fn begin(credentials: Credentials, guests: bool) -> Result<(Self, Step), LoginRefusal> {
        match credentials {
            Credentials::Guest { .. } if !guests => Err(LoginRefusal::NoGuests),
            Credentials::Guest { name: wish } => {
                Ok((Self { key: String::new(), register: false, state: State::NamingGuest { wish } }, Step::NeedIds))
            }
            Credentials::Password { name, password, .. } if !is_name(&name) || !is_password(&password) => Err(LoginRefusal::Form),
            Credentials::Password { name, password, register } => {
                let key = name.to_ascii_lowercase();
                let step = Step::Ask { key: key.clone(), op: TableOp::Get };
                Ok((Self { key, register, state: State::Reading { name, password: Secret(password) } }, step))
            }
        }
    }

    /// The name that guesses of a password are counted against.
    pub(crate) fn guarded_name(&self) -> Option<&str> {
        (!self.register && !self.key.is_empty()).then_some(self.key.as_str())
    }

    /// Whether it waits for ids.
    pub(crate) fn needs_ids(&self) -> bool {
        matches!(self.state, State::Naming { .. } | State::NamingGuest { .. })
    }

    /// Moves on.
    pub(crate) fn step(&mut self, event: LoginEvent) -> Step {
        let (state, step) = match (std::mem::replace(&mut self.state, State::Done), event) {
            (State::Reading { name, password }, LoginEvent::Row(revision, row)) => {
                self.read(name, password, revision, row.as_ref())
            }
            (State::Hashing { name }, LoginEvent::Hashed(phc)) => (State::Naming { name, phc: Secret(phc) }, Step::NeedIds),
            (State::Naming { name, phc: Secret(phc) }, LoginEvent::Ids { account, agent }) => {
                let account = Account { id: account, agent, login: 1, name, phc };
                let put = self.put(Revision::ZERO, &account);
                (State::Creating { account }, put)
            }
            (State::Creating { account } | State::Raising { raised: account, .. }, LoginEvent::Stored) => {
                (State::Done, Step::Admit(account))
            }
            (State::Creating { account }, LoginEvent::Conflict) => (State::Checking { account }, self.get()),
            (State::Checking { account }, LoginEvent::Row(_, row)) => (State::Done, check(account, row.as_ref())),
            (State::Burning, LoginEvent::Verified(_)) => (State::Done, Step::Refuse(LoginRefusal::Credentials)),
            (State::Verifying { .. }, LoginEvent::Verified(false)) => (State::Done, Step::Refuse(LoginRefusal::Credentials)),
            (State::Verifying { account, revision }, LoginEvent::Verified(true)) => self.raise(account, revision, 0),
            (State::Raising { raised, tries }, LoginEvent::Conflict) => (State::Rereading { raised, tries }, self.get()),
            (State::Rereading { raised, tries }, LoginEvent::Row(revision, row)) => match readable(row.as_ref()) {
                Some(Some(account)) if (account.id, &account.phc) == (raised.id, &raised.phc) && tries < RAISES_MAX => {
                    self.raise(account, revision, tries)
                }
                Some(_) | None => (State::Done, Step::Refuse(LoginRefusal::Unavailable)),
            },
            (State::NamingGuest { wish }, LoginEvent::Ids { account, agent }) => {
                (State::Done, Step::Admit(guest(&wish, account, agent)))
            }
            (
                state @ (State::Reading { .. }
                | State::Hashing { .. }
                | State::Naming { .. }
                | State::Creating { .. }
                | State::Checking { .. }
                | State::Burning
                | State::Verifying { .. }
                | State::Raising { .. }
                | State::Rereading { .. }
                | State::NamingGuest { .. }
                | State::Done),
                LoginEvent::Row(..)
                | LoginEvent::Stored
                | LoginEvent::Conflict
                | LoginEvent::Hashed(_)
                | LoginEvent::Verified(_)
                | LoginEvent::Ids { .. },
            ) => (state, Step::Wait),
        };
        self.state = state;
        step
    }

    fn read(&self, name: String, Secret(password): Secret, revision: Revision, row: Option<&Bytes>) -> (State, Step) {
        match (readable(row), self.register) {
            (None, _) => (State::Done, Step::Refuse(LoginRefusal::Unavailable)),
            (Some(Some(_)), true) => (State::Done, Step::Refuse(LoginRefusal::NameTaken)),
            (Some(None), true) => (State::Hashing { name }, Step::Hash { password }),
            (Some(None), false) => (State::Burning, Step::Verify { password, phc: None }),
            (Some(Some(account)), false) => {
                let phc = Some(account.phc.clone());
                (State::Verifying { account, revision }, Step::Verify { password, phc })
            }
        }
    }

    fn raise(&self, account: Account, revision: Revision, tries: u32) -> (State, Step) {
        let Some(login) = account.login.checked_add(1) else {
            return (State::Done, Step::Refuse(LoginRefusal::Unavailable));
        };
        let raised = Account { login, ..account };
        let put = self.put(revision, &raised);
        (State::Raising { raised, tries: tries + 1 }, put)
    }

    fn get(&self) -> Step {
        Step::Ask { key: self.key.clone(), op: TableOp::Get }
    }

    fn put(&self, expected: Revision, account: &Account) -> Step {
        Step::Ask { key: self.key.clone(), op: TableOp::PutIf { expected, value: account.to_bytes() } }
    }
}

/// `None`: there is a row, and it cannot be read.
fn readable(row: Option<&Bytes>) -> Option<Option<Account>> {
    let Some(bytes) = row else { return Some(None) };
    match Account::from_bytes(bytes) {
        Ok(account) => Some(Some(account)),
        Err(error) => {
            tracing::error!(%error, "an account cannot be read");
            None
        }
    }
}

/// After a conflict: the row may be our own, written by a request whose answer was lost.
fn check(account: Account, row: Option<&Bytes>) -> Step {
    match readable(row) {
        Some(Some(found)) if found.id == account.id => Step::Admit(account),
        Some(Some(_)) => Step::Refuse(LoginRefusal::NameTaken),
        Some(None) | None => Step::Refuse(LoginRefusal::Unavailable),
    }
}

/// A guest is called `<wish>~<agent>`: unique, and no registered name.
fn guest(wish: &str, id: AccountId, agent: EntityId) -> Account {
    let wish = if is_name(wish) { wish } else { "Guest" };
    Account { id, agent, login: 1, name: format!("{wish}~{}", agent.0), phc: String::new() }
}
