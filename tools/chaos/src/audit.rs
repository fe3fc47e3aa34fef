//! The real data when all faults are healed: live, and in the files after all processes have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use pangaea_bots::{Belongings, Vitals};
use pangaea_node::admin::{LedgerView, client};
use pangaea_node::up::PortTable;
use pangaea_persistence::{Data, LmdbOptions, LmdbStore};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{ShardId, SpaceId};
use pangaea_schemas::message::{
    Currency, Holdings, JournalReply, JournalRequest, LedgerReply, LedgerRequest, LedgerResult, Message, OpId, Transaction,
};
use pangaea_schemas::{EntityId, NodeId, RequestId, Role, Timestamp};

/// Who asks the files.
const AUDITOR: NodeId = NodeId::new(Role::Scene, 1);

/// What is wrong, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// With gold, items, and what bots were told of them.
    pub value: Vec<String>,
    /// With who owns whom, and with the files themselves.
    pub ownership: Vec<String>,
}

/// The audit that the data node makes of itself.
///
/// # Errors
/// It does not answer.
pub async fn live(ports: PortTable) -> anyhow::Result<Vec<String>> {
    let body = client::get(&ports.web().to_string(), "/api/ledger", None).await?;
    let view: LedgerView = serde_json::from_slice(&body).context("the ledger's audit is not JSON")?;
    Ok(if view.ok || !view.faults.is_empty() { view.faults } else { vec!["the ledger is not ok".to_owned()] })
}

/// Read everything in the store's files: its checksums, the ledger, what each bot owns, and in which shards its agent is.
///
/// # Errors
/// The files cannot be read at all.
pub fn files(store: &Path, cluster: &ClusterSpec, bots: &[Vitals]) -> anyhow::Result<Findings> {
    let opened = LmdbStore::open(store, LmdbOptions::default());
    let mut files = Files { data: Data::new(opened.with_context(|| format!("cannot open the store in {}", store.display()))?) };
    let mut findings = Findings { value: files.data.audit()?.faults, ownership: files.data.verify()?.findings };
    for bot in bots.iter().filter(|bot| bot.agent.is_some()) {
        let Some(told) = &bot.belongings else { continue };
        let holdings = files.holdings(bot.agent)?;
        if !agrees(told, &holdings) {
            findings.value.push(format!("{} was told that it owns {told:?}, but it owns {holdings:?}", bot.agent));
        }
    }
    let homes = files.homes(cluster)?;
    for (entity, shards) in homes.settled.iter().filter(|(_, shards)| shards.len() > 1) {
        findings.ownership.push(format!("{entity} is in {} shards: {shards:?}", shards.len()));
    }
    let is_lost = |agent: &EntityId| !homes.settled.contains_key(agent) && !homes.leaving.contains(agent);
    for lost in bots.iter().map(|bot| bot.agent).filter(|agent| agent.is_some() && is_lost(agent)) {
        findings.ownership.push(format!("{lost} is in no shard"));
    }
    Ok(findings)
}

/// Whether a bot was told the truth. It is told of a bounded number of its items only.
fn agrees(told: &Belongings, holdings: &Holdings) -> bool {
    let gold = holdings.balances.iter().find(|balance| balance.currency == Currency::GOLD).map_or(0, |balance| balance.amount);
    let owned: Vec<_> = holdings.items.iter().map(|item| item.item).collect();
    told.gold == gold
        && told.count == owned.len() as u64
        && told.items.iter().all(|item| owned.contains(item))
        && told.version.is_none_or(|version| version == holdings.version)
}

/// A data node that nobody else talks to.
struct Files {
    data: Data<LmdbStore>,
}

impl Files {
    fn ask(&mut self, message: Message) -> Vec<Message> {
        self.data.handle(Timestamp::default(), AUDITOR, message);
        self.data.commit(Timestamp::default());
        std::iter::from_fn(|| self.data.poll_output()).map(|(_, reply)| reply).collect()
    }

    fn holdings(&mut self, agent: EntityId) -> anyhow::Result<Holdings> {
        let (op, transaction) = (OpId(u128::MAX), Transaction::Look { agent });
        let look =
            LedgerRequest { op, shard: ShardId { space: SpaceId(0), level: 0, x: 0, z: 0 }, fences: Vec::new(), transaction };
        let mut replies = self.ask(Message::LedgerRequest(look)).into_iter();
        match replies.next() {
            Some(Message::LedgerReply(LedgerReply { result: LedgerResult::Done(mut holdings), .. })) => {
                holdings.pop().context("a look without holdings")
            }
            other => bail!("the ledger answers a look with {other:?}"),
        }
    }

    fn homes(&mut self, cluster: &ClusterSpec) -> anyhow::Result<Homes> {
        let mut homes = Homes::default();
        for shard in cluster.spaces.iter().flat_map(|space| space.first_shards()) {
            for reply in self.ask(Message::JournalRequest(JournalRequest::Load { request: RequestId(1), shard })) {
                let Message::JournalReply(JournalReply::Image { part, .. }) = reply else {
                    bail!("the journal of {shard} answers {reply:?}");
                };
                for record in part.records {
                    homes.settled.entry(record.entity).or_default().push(shard);
                }
                let members = part.departures.iter().flat_map(|departure| &departure.members);
                homes.leaving.extend(members.map(|member| member.entity));
            }
        }
        Ok(homes)
    }
}

/// Where everybody is by the journals.
#[derive(Default)]
struct Homes {
    /// In whose state each entity is.
    settled: BTreeMap<EntityId, Vec<ShardId>>,
    /// Let go by one shard; the other has not confirmed yet, though it may have taken them.
    leaving: BTreeSet<EntityId>,
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::message::{Balance, Item, ItemKind, Owner};

    use super::*;

    const ADA: EntityId = EntityId(7);

    fn owns(gold: u64, items: &[u64]) -> Holdings {
        let item = |id: &u64| Item { item: EntityId(*id), kind: ItemKind(1), owner: Owner::Agent(ADA) };
        let balances = vec![Balance { currency: Currency::GOLD, amount: gold }];
        Holdings { agent: ADA, version: 3, balances, items: items.iter().map(item).collect() }
    }

    fn told(gold: u64, items: &[u64]) -> Belongings {
        let items: Vec<_> = items.iter().map(|id| EntityId(*id)).collect();
        Belongings { version: Some(3), gold, count: items.len() as u64, items }
    }

    #[test]
    fn a_bot_was_told_the_truth_or_not() {
        assert!(agrees(&told(90, &[4, 5]), &owns(90, &[4, 5])));
        assert!(agrees(&Belongings { version: None, ..told(90, &[]) }, &owns(90, &[])));
        assert!(!agrees(&told(90, &[]), &owns(100, &[])), "a payment was undone");
        assert!(!agrees(&told(90, &[4]), &owns(90, &[])), "an item is gone");
        assert!(!agrees(&told(90, &[4]), &owns(90, &[5])), "another item");
        assert!(!agrees(&Belongings { version: Some(4), ..told(90, &[]) }, &owns(90, &[])), "an older account");
    }
}
