//! What the systems of a shard ask of the ledger, from the wish to the answer: first into the agent's record, then to the ledger,
//! then to the systems, then out of the record. The stages are in [`super::ledger_desk`].

use pangaea_schemas::message::{Address, LedgerRefusal, LedgerReply, LedgerResult, Message, Transaction};
use pangaea_schemas::record::{OPEN_OPERATIONS_MAX, OpenOperation, Record};
use pangaea_schemas::{AgentEpoch, EntityId};

use super::ledger_desk::{Asker, Stage};
use super::residents::ValueGate;
use super::{Shard, Then};
use crate::ecs::{Settlement, Transfer};

impl Shard {
    /// Raises the fence of an agent and learns what it has; then its value may be touched.
    pub(super) fn look(&mut self, agent: EntityId, epoch: AgentEpoch) {
        if self.life.residents.get(&agent).is_some_and(|resident| resident.epoch == epoch) {
            self.open(Asker::Gate(agent), Transaction::Look { agent });
            self.ask_ledger();
        }
    }

    /// Asks what lies on the ground.
    pub(super) fn look_around(&mut self) {
        self.open(Asker::Nobody, Transaction::LookGround { shard: self.id });
    }

    fn open(&mut self, asker: Asker, transaction: Transaction) {
        let op = self.life.desk.name((self.id, self.epoch()));
        self.life.desk.open(op, asker, transaction, Stage::Ready);
    }

    /// Begins what the systems of this tick ask for.
    pub(super) fn transfer(&mut self, transfers: Vec<Transfer>) {
        for Transfer { by, transaction } in transfers {
            if let Err((reason, asked)) = self.begin(by, transaction) {
                let op = self.life.desk.name((self.id, self.epoch()));
                self.life.inbox.ledger.push(Settlement { op, by, asked, result: LedgerResult::Refused(reason) });
            }
        }
    }

    fn begin(&mut self, by: Option<EntityId>, transaction: Transaction) -> Result<(), (LedgerRefusal, Transaction)> {
        if !self.life.desk.has_room() {
            return Err((LedgerRefusal::Busy, transaction));
        }
        let Some(agent) = by else {
            self.open(Asker::Nobody, transaction);
            return Ok(());
        };
        if !self.life.residents.contains_key(&agent) {
            return Err((LedgerRefusal::Stale, transaction));
        }
        let op = self.life.desk.name((self.id, self.epoch()));
        let looks = matches!(transaction, Transaction::Look { .. } | Transaction::LookGround { .. });
        let Some(open) = self.life.sessions.open_operations(agent).filter(|_| !looks) else {
            self.life.desk.open(op, Asker::Agent(agent), transaction, Stage::Ready);
            return Ok(());
        };
        if open.len() >= OPEN_OPERATIONS_MAX {
            return Err((LedgerRefusal::Busy, transaction));
        }
        open.push(OpenOperation { op, transaction: transaction.clone() });
        self.life.desk.open(op, Asker::Agent(agent), transaction, Stage::Unwritten);
        self.life.urgent.insert(agent);
        Ok(())
    }

    /// Goes on with the open operations in the record of an agent that is live here from now on. Once its fence is raised, they
    /// are asked again: done or not, the ledger says what became of them.
    pub(super) fn adopt_operations(&mut self, record: &Record) {
        for OpenOperation { op, transaction } in &record.session.open {
            self.life.desk.open(*op, Asker::Agent(record.entity), transaction.clone(), Stage::Ready);
        }
    }

    /// The records of this tick are on their way to the journal; what was asked in it may go to the ledger when they are durable.
    pub(super) fn operations_are_journaled(&mut self) {
        let unwritten: Vec<_> = self.life.desk.unwritten().map(|(op, _)| op).collect();
        for op in unwritten {
            self.when_durable(Then::Written(op));
        }
    }

    /// Asks for what is new or due again.
    pub(super) fn ask_ledger(&mut self) {
        if !self.incarnation.is_confirmed() {
            return;
        }
        let residents = &self.life.residents;
        let requests = self.life.desk.poll(self.now, self.id, |asker| match asker {
            Asker::Nobody => Some(Vec::new()),
            Asker::Gate(agent) => residents.get(&agent).map(|resident| vec![(agent, resident.epoch)]),
            Asker::Agent(agent) => {
                let open = residents.get(&agent).filter(|resident| resident.gate == ValueGate::Open);
                open.map(|resident| vec![(agent, resident.epoch)])
            }
        });
        for request in requests {
            self.send(Address::Data, Message::LedgerRequest(request));
        }
    }

    pub(super) fn ledger_replied(&mut self, reply: LedgerReply) {
        let Some((asker, settlement)) = self.life.desk.answered(self.now, reply.op, reply.result) else { return };
        if let Asker::Gate(agent) = asker {
            if let LedgerResult::Refused(reason) = settlement.result {
                tracing::warn!(shard = %self.id, %agent, ?reason, "the ledger knows a newer owner of an agent");
                return;
            }
            if let Some(resident) = self.life.residents.get_mut(&agent) {
                resident.gate = ValueGate::Open;
            }
        }
        self.life.inbox.ledger.push(settlement);
        if let Asker::Gate(_) = asker {
            self.ask_ledger();
        }
    }

    /// These answers reach the systems in this tick: its records hold what comes of them, and the operations no longer.
    pub(super) fn close_operations(&mut self, settled: &[Settlement]) {
        for Settlement { op, by, .. } in settled {
            let Some(agent) = *by else { continue };
            let Some(open) = self.life.sessions.open_operations(agent) else { continue };
            if let Some(at) = open.iter().position(|operation| operation.op == *op) {
                open.remove(at);
                self.life.urgent.insert(agent);
            }
        }
    }
}
