//! What the data node promised: everything it said is durable must be there ever after, and what was asked once is done at most
//! once. The network is overheard; what counts is what reached somebody.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_persistence::Data;
use pangaea_persistence::store::MemoryStore;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{
    Currency, Holdings, JournalReply, LedgerReply, LedgerRequest, LedgerResult, Message, OpId, Transaction,
};
use pangaea_schemas::{EntityId, JournalIndex, NodeId, Role, ShardEpoch, Timestamp};

/// See the module.
#[derive(Debug, Default)]
pub struct Promises {
    /// Entries told as durable.
    appended: BTreeMap<ShardId, JournalIndex>,
    /// Highest owners seen in the journals.
    epochs: BTreeMap<ShardId, ShardEpoch>,
    /// Gold that was asked to be minted, by operation.
    asked: BTreeMap<OpId, u64>,
    /// Operations told as done.
    done: BTreeSet<OpId>,
    /// Accounts' versions told.
    versions: BTreeMap<EntityId, u64>,
}

impl Promises {
    /// A message reaches its receiver.
    pub fn overhear(&mut self, message: &Message) {
        match message {
            Message::JournalReply(JournalReply::Appended { shard, index, .. }) => {
                let known = self.appended.entry(*shard).or_default();
                *known = (*known).max(*index);
            }
            Message::LedgerRequest(LedgerRequest {
                op,
                transaction:
                    Transaction::Mint { currency: Currency::GOLD, amount, .. }
                    | Transaction::Endow { currency: Currency::GOLD, amount, .. },
                ..
            }) => _ = self.asked.insert(*op, *amount),
            Message::LedgerReply(LedgerReply { op, result: LedgerResult::Done(holdings), .. }) => {
                self.done.insert(*op);
                for told in holdings {
                    let known = self.versions.entry(told.agent).or_default();
                    *known = (*known).max(told.version);
                }
            }
            _ => {}
        }
    }

    /// Changes of value and looks told as done.
    pub fn done(&self) -> u64 {
        self.done.len() as u64
    }

    /// The journals' owners and tails, as they are now: neither ever falls, and what was told as appended is there.
    pub fn journal_is(&mut self, shard: ShardId, epoch: ShardEpoch, tail: JournalIndex) -> Result<(), String> {
        if let Some(told) = self.appended.get(&shard).filter(|told| **told > tail) {
            return Err(format!("the journal of {shard} ends at {}, but {} was told as durable", tail.0, told.0));
        }
        let known = self.epochs.entry(shard).or_default();
        if epoch < *known {
            return Err(format!("the epoch of {shard} falls from {known} to {epoch}"));
        }
        *known = epoch;
        Ok(())
    }

    /// The ledger adds up, no operation was done twice, and none that was told as done is forgotten. What is wrong, in words.
    pub fn ledger_is(&self, data: &Data<MemoryStore>) -> Vec<String> {
        let audit = match data.audit() {
            Ok(audit) => audit,
            Err(error) => return vec![format!("the ledger cannot be read: {error}")],
        };
        let mut wrong: Vec<String> = audit.faults.iter().map(|fault| format!("ledger: {fault}")).collect();
        let issued = audit.currencies.iter().find(|c| c.currency == Currency::GOLD).map_or(0, |c| c.issued);
        let asked: u128 = self.asked.values().map(|gold| u128::from(*gold)).sum();
        let done: u128 = self.asked.iter().filter(|(op, _)| self.done.contains(op)).map(|(_, gold)| u128::from(*gold)).sum();
        if issued > asked || issued < done {
            wrong.push(format!("{issued} gold was minted, but {asked} was asked for and {done} told as done"));
        }
        wrong
    }

    /// What the accounts told of hold, by a look into a copy of the store. What was forgotten, in words.
    pub fn accounts(&self, store: &MemoryStore) -> Result<BTreeMap<EntityId, Holdings>, String> {
        let mut copy = Data::new(store.clone());
        let (nobody, now) = (NodeId::new(Role::Scene, u16::MAX), Timestamp(0));
        for (request, agent) in self.versions.keys().enumerate() {
            let op = OpId(request as u128);
            let transaction = Transaction::Look { agent: *agent };
            let shard = self.appended.keys().next().copied().ok_or("nothing was ever journaled")?;
            copy.handle(now, nobody, Message::LedgerRequest(LedgerRequest { op, shard, fences: Vec::new(), transaction }));
        }
        copy.commit(now);
        let mut accounts = BTreeMap::new();
        while let Some((_, reply)) = copy.poll_output() {
            if let Message::LedgerReply(LedgerReply { result: LedgerResult::Done(holdings), .. }) = reply {
                accounts.extend(holdings.into_iter().map(|holdings| (holdings.agent, holdings)));
            }
        }
        for (agent, told) in &self.versions {
            let version = accounts.get(agent).map_or(0, |holdings: &Holdings| holdings.version);
            if version < *told {
                return Err(format!("the account of {agent} has version {version}, but {told} was told as durable"));
            }
        }
        Ok(accounts)
    }
}
