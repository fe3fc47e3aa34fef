//! Stories of logins, with the accounts' table and the password pool played by the test.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use pangaea_schemas::message::{
    AuthReply, AuthRequest, Credentials, JournalReply, JournalRequest, LoginRefusal, Message, TableOp, TableReply, TableRequest,
};
use pangaea_schemas::ticket::{TicketClaims, footer_key};
use pangaea_schemas::{EntityId, NodeId, RequestId, Revision, Role, Timestamp};
use pasetors::Public;
use pasetors::keys::{AsymmetricKeyPair, AsymmetricPublicKey, Generate};
use pasetors::token::UntrustedToken;
use pasetors::version4::{PublicToken, V4};

use super::{ATTEMPTS_FREE, Auth, AuthConfig, Input, JOBS_MAX, LOGIN_LIMIT, Output, Signer};

const START: Timestamp = Timestamp(1_800_000_000_000_000);
const GATEWAY: NodeId = NodeId::new(Role::Gateway, 1);
const DATA: NodeId = NodeId::new(Role::Data, 1);
const DUMMY: &str = "hash of nothing";

/// Auth with a data node and a password pool around it.
struct Stage {
    now: Timestamp,
    auth: Auth,
    public: AsymmetricPublicKey<V4>,
    rows: BTreeMap<String, (Revision, Bytes)>,
    next_id: u64,
    last_request: u64,
    /// Messages to the data node that were not delivered yet.
    to_data: Vec<Message>,
    /// Password jobs not done yet.
    jobs: Vec<Output>,
    replies: Vec<AuthReply>,
}

impl Stage {
    fn new() -> Self {
        let keys = AsymmetricKeyPair::<V4>::generate().expect("a key pair");
        let auth = server(keys.secret.as_bytes());
        Self {
            now: START,
            auth,
            public: keys.public,
            rows: BTreeMap::new(),
            next_id: 1_000,
            last_request: 0,
            to_data: Vec::new(),
            jobs: Vec::new(),
            replies: Vec::new(),
        }
    }

    fn ask(&mut self, credentials: Credentials) {
        self.last_request += 1;
        let request = AuthRequest::Login { request: RequestId(self.last_request), credentials };
        self.input(Input::Node { from: GATEWAY, message: Message::AuthRequest(request) });
    }

    fn input(&mut self, input: Input) {
        self.auth.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.auth.poll_output() {
            match output {
                Output::Send(envelope) => match envelope.message {
                    Message::AuthReply(reply) => self.replies.push(reply),
                    other => self.to_data.push(other),
                },
                Output::Hash { .. } | Output::Verify { .. } => self.jobs.push(output),
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((deadline, _)) = self.auth.poll_timeout().filter(|(deadline, _)| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.auth.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// The data node does what it was asked; its answers may be lost.
    fn data(&mut self, lose_answers: bool) {
        for message in std::mem::take(&mut self.to_data) {
            let answer = match message {
                Message::TableRequest(request) => Message::TableReply(self.table(request)),
                Message::JournalRequest(JournalRequest::Ids { request }) => {
                    self.next_id += 1_000;
                    let block = JournalReply::IdBlock { request, first: EntityId(self.next_id), count: 1_000 };
                    Message::JournalReply(block)
                }
                other => panic!("not for data: {other:?}"),
            };
            if !lose_answers {
                self.input(Input::Node { from: DATA, message: answer });
            }
        }
    }

    fn table(&mut self, TableRequest { request, key, op, .. }: TableRequest) -> TableReply {
        let current = self.rows.get(&key).map_or(Revision::ZERO, |(revision, _)| *revision);
        match op {
            TableOp::Get => TableReply::Row { request, revision: current, value: self.rows.get(&key).map(|(_, v)| v.clone()) },
            TableOp::PutIf { expected, value } if expected == current => {
                let revision = current.next();
                self.rows.insert(key, (revision, value));
                TableReply::Done { request, revision }
            }
            TableOp::PutIf { .. } => TableReply::Conflict { request, current },
            other => panic!("auth never asks for {other:?}"),
        }
    }

    fn hash(&mut self) {
        for job in std::mem::take(&mut self.jobs) {
            match job {
                Output::Hash { job, password } => self.input(Input::Hashed { job, phc: format!("hash of {password}") }),
                Output::Verify { job, password, phc } => {
                    self.input(Input::Verified { job, ok: phc == format!("hash of {password}") });
                }
                Output::Send(envelope) => panic!("not a job: {envelope:?}"),
            }
        }
    }

    /// Everybody answers until nothing is left to do.
    fn settle(&mut self) {
        while !self.to_data.is_empty() || !self.jobs.is_empty() {
            self.data(false);
            self.hash();
        }
    }

    fn login(&mut self, credentials: Credentials) -> Result<TicketClaims, LoginRefusal> {
        self.ask(credentials);
        self.settle();
        self.outcome()
    }

    fn outcome(&mut self) -> Result<TicketClaims, LoginRefusal> {
        assert_eq!(self.replies.len(), 1, "one answer: {:?}", self.replies);
        match self.replies.remove(0) {
            AuthReply::Ticket { ticket, agent, name, .. } => {
                let claims = self.verified(&ticket);
                assert_eq!((agent, name), (claims.agent, claims.name.clone()));
                Ok(claims)
            }
            AuthReply::Refused { reason, .. } => Err(reason),
        }
    }

    /// What a gateway does with a ticket.
    fn verified(&self, ticket: &str) -> TicketClaims {
        let untrusted = UntrustedToken::<Public, V4>::try_from(ticket).expect("a v4.public token");
        let footer = std::str::from_utf8(untrusted.untrusted_footer()).expect("text").to_owned();
        assert_eq!(footer_key(&footer), Some("k1".to_owned()));
        let trusted = PublicToken::verify(&self.public, &untrusted, None, None).expect("our signature");
        TicketClaims::parse(trusted.payload()).expect("our claims")
    }
}

fn server(secret: &[u8]) -> Auth {
    Auth::new(AuthConfig {
        cluster: "demo".to_owned(),
        signer: Signer::new("k1", secret).expect("a key"),
        ticket_valid: Duration::from_secs(60),
        guests: true,
        dummy_phc: DUMMY.to_owned(),
    })
}

fn login(name: &str, password: &str) -> Credentials {
    Credentials::Password { name: name.to_owned(), password: password.to_owned(), register: false }
}

fn register(name: &str, password: &str) -> Credentials {
    Credentials::Password { name: name.to_owned(), password: password.to_owned(), register: true }
}

#[test]
fn register_then_log_in_again() {
    let mut stage = Stage::new();
    let first = stage.login(register("Ana", "password")).expect("a ticket");
    assert_eq!((first.name.as_str(), first.login, first.cluster.as_str()), ("Ana", 1, "demo"));
    assert_eq!(first.expires, START + Duration::from_secs(60));
    let second = stage.login(login("ANA", "password")).expect("a ticket");
    assert_eq!(second, TicketClaims { login: 2, ..first.clone() }, "the same player, one login later");
    assert_eq!(stage.login(login("ana", "passwort")), Err(LoginRefusal::Credentials));
    assert_eq!(stage.login(register("anA", "other-password")), Err(LoginRefusal::NameTaken));
    let other = stage.login(register("Bob", "password")).expect("a ticket");
    assert!(other.account != first.account && other.agent != first.agent);
}

#[test]
fn an_unknown_name_costs_the_same_hash_and_the_same_answer() {
    let mut stage = Stage::new();
    stage.ask(login("nobody", "password"));
    stage.data(false);
    let [Output::Verify { phc, .. }] = stage.jobs.as_slice() else { panic!("one comparison: {:?}", stage.jobs) };
    assert_eq!(phc, DUMMY);
    stage.settle();
    assert_eq!(stage.outcome(), Err(LoginRefusal::Credentials));
}

#[test]
fn a_dummy_that_matches_lets_nobody_in() {
    let mut stage = Stage::new();
    stage.ask(login("nobody", "password"));
    stage.data(false);
    let Some(Output::Verify { job, .. }) = stage.jobs.pop() else { panic!("a comparison") };
    stage.input(Input::Verified { job, ok: true });
    assert_eq!(stage.outcome(), Err(LoginRefusal::Credentials));
}

#[test]
fn a_crash_between_the_raised_count_and_the_ticket_costs_only_a_number() {
    let mut stage = Stage::new();
    stage.login(register("ana", "password")).expect("a ticket");
    stage.ask(login("ana", "password"));
    stage.data(false);
    stage.hash();
    stage.data(true);
    assert_eq!(stage.replies, [], "no ticket before the count is known to be durable");
    let keys = AsymmetricKeyPair::<V4>::generate().expect("a key pair");
    stage.auth = server(keys.secret.as_bytes());
    stage.public = keys.public;
    let again = stage.login(login("ana", "password")).expect("a ticket");
    assert_eq!(again.login, 3, "the count of the lost ticket is not given again");
}

#[test]
fn two_logins_at_once_never_share_a_count() {
    let mut stage = Stage::new();
    stage.login(register("ana", "password")).expect("a ticket");
    stage.ask(login("ana", "password"));
    stage.ask(login("ana", "password"));
    stage.settle();
    let counts: Vec<u32> = std::mem::take(&mut stage.replies)
        .into_iter()
        .map(|reply| match reply {
            AuthReply::Ticket { ticket, .. } => stage.verified(&ticket).login,
            AuthReply::Refused { reason, .. } => panic!("{reason:?}"),
        })
        .collect();
    assert_eq!(counts, [2, 3]);
}

#[test]
fn of_two_registrations_of_a_name_one_wins() {
    let mut stage = Stage::new();
    stage.ask(register("ana", "password-1"));
    stage.ask(register("ana", "password-2"));
    stage.settle();
    let answers: Vec<bool> = stage.replies.iter().map(|reply| matches!(reply, AuthReply::Ticket { .. })).collect();
    assert_eq!(answers, [true, false]);
    let loser = AuthReply::Refused { request: RequestId(2), reason: LoginRefusal::NameTaken, retry_after_ms: 0 };
    assert_eq!(stage.replies[1], loser);
}

#[test]
fn a_registration_whose_answer_was_lost_is_recognised_as_our_own() {
    let mut stage = Stage::new();
    stage.ask(register("ana", "password"));
    stage.data(false);
    stage.hash();
    stage.data(true);
    assert!(stage.rows.contains_key("ana"));
    stage.pass(Duration::from_secs(2));
    stage.settle();
    assert_eq!(stage.outcome().map(|claims| claims.login), Ok(1));
}

#[test]
fn too_many_failures_wait_even_with_the_right_password() {
    let mut stage = Stage::new();
    stage.login(register("ana", "password")).expect("a ticket");
    for _ in 0..ATTEMPTS_FREE {
        assert_eq!(stage.login(login("ana", "wrong-password")), Err(LoginRefusal::Credentials));
    }
    stage.ask(login("ana", "password"));
    let locked = AuthReply::Refused { request: RequestId(7), reason: LoginRefusal::LockedOut, retry_after_ms: 5_000 };
    assert_eq!(std::mem::take(&mut stage.replies), [locked]);
    assert!(stage.login(register("bob", "password")).is_ok(), "others are not held back");
    stage.pass(Duration::from_secs(5));
    assert!(stage.login(login("ana", "password")).is_ok());
    assert!(stage.login(login("ana", "password")).is_ok(), "success clears the count");
}

#[test]
fn guests_are_let_in_only_where_allowed() {
    let mut stage = Stage::new();
    let wished = stage.login(Credentials::Guest { name: "Ana".to_owned() }).expect("a ticket");
    let unnamed = stage.login(Credentials::Guest { name: "a\"b".to_owned() }).expect("a ticket");
    assert_eq!(wished.name, format!("Ana~{}", wished.agent.0));
    assert_eq!(unnamed.name, format!("Guest~{}", unnamed.agent.0));
    assert_ne!(wished.agent, unnamed.agent);
    assert!(stage.rows.is_empty(), "guests leave no account behind");
    stage.auth.config.guests = false;
    assert_eq!(stage.login(Credentials::Guest { name: String::new() }), Err(LoginRefusal::NoGuests));
}

#[test]
fn bad_forms_are_refused_before_any_work() {
    let mut stage = Stage::new();
    for bad in [register("a", "password"), register("ana", "short"), login("not a name", "password")] {
        stage.ask(bad);
        assert_eq!(stage.outcome(), Err(LoginRefusal::Form));
    }
    assert!(stage.jobs.is_empty() && stage.rows.is_empty());
}

#[test]
fn with_the_data_node_away_logins_end_in_words_and_without_blame() {
    let mut stage = Stage::new();
    stage.login(register("ana", "password")).expect("a ticket");
    for _ in 0..ATTEMPTS_FREE + 2 {
        stage.ask(login("ana", "password"));
        stage.pass(LOGIN_LIMIT);
        assert_eq!(stage.outcome(), Err(LoginRefusal::Unavailable));
    }
    stage.to_data.clear();
    assert!(stage.login(login("ana", "password")).is_ok(), "none of these counted as a failure");
}

#[test]
fn password_jobs_are_bounded() {
    let mut stage = Stage::new();
    for n in 0..JOBS_MAX + 3 {
        stage.ask(login(&format!("name-{n}"), "password"));
    }
    stage.data(false);
    assert_eq!(stage.jobs.len(), JOBS_MAX);
    let refused = std::mem::take(&mut stage.replies);
    assert_eq!(refused.len(), 3);
    for reply in refused {
        let AuthReply::Refused { reason, retry_after_ms, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(reason, LoginRefusal::Unavailable);
        assert!(retry_after_ms > 0, "and says when to come back");
    }
    stage.settle();
    assert_eq!(stage.replies.len(), JOBS_MAX, "all others are answered");
}

#[test]
fn a_repeated_request_is_one_login() {
    let mut stage = Stage::new();
    let request = AuthRequest::Login { request: RequestId(1), credentials: register("ana", "password") };
    for _ in 0..3 {
        stage.input(Input::Node { from: GATEWAY, message: Message::AuthRequest(request.clone()) });
    }
    stage.settle();
    assert!(stage.outcome().is_ok());
}

#[test]
fn a_damaged_account_is_unavailable_and_stays_as_it_is() {
    let mut stage = Stage::new();
    stage.rows.insert("ana".to_owned(), (Revision(4), Bytes::from_static(b"\x01junk")));
    assert_eq!(stage.login(login("ana", "password")), Err(LoginRefusal::Unavailable));
    assert_eq!(stage.login(register("ana", "password")), Err(LoginRefusal::Unavailable));
    assert_eq!(stage.rows["ana"], (Revision(4), Bytes::from_static(b"\x01junk")));
}

#[test]
fn passwords_and_hashes_never_reach_a_log() {
    let mut stage = Stage::new();
    let mut logged = Vec::new();
    for credentials in [register("ana", "password-1"), login("ana", "password-1")] {
        stage.ask(credentials);
        while !stage.to_data.is_empty() || !stage.jobs.is_empty() {
            logged.push(format!("{:?} {:?}", stage.auth, stage.jobs));
            stage.data(false);
            logged.push(format!("{:?} {:?}", stage.auth, stage.jobs));
            stage.hash();
        }
        assert!(stage.outcome().is_ok());
    }
    for text in logged {
        assert!(!text.contains("password-1") && !text.contains("hash of password"), "{text}");
    }
}
