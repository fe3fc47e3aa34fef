//! The real data when all faults are healed: live, and in the files after all processes have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use pangaea_bots::{Belongings, Vitals};
use pangaea_node::admin::LedgerView;
use pangaea_node::up::LocalCluster;
use pangaea_persistence::{Data, LmdbOptions, LmdbStore, Store};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{CellId, ShardId, SpaceId};
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

/// The audit that a data node makes of itself, in words.
///
/// # Errors
/// It does not answer.
pub async fn live(cluster: &LocalCluster) -> anyhow::Result<Vec<String>> {
    let view: LedgerView =
        serde_json::from_slice(&cluster.get("/api/ledger").await?).context("the ledger's audit is not JSON")?;
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
    let shards = files.shards()?;
    findings.ownership.extend(miscut(cluster, &shards));
    let homes = files.homes(&shards)?;
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
struct Files<S> {
    data: Data<S>,
}

impl<S: Store> Files<S> {
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

    /// The shards that have an owner, however the map was cut.
    fn shards(&mut self) -> anyhow::Result<Vec<ShardId>> {
        match self.ask(Message::JournalRequest(JournalRequest::Owners { request: RequestId(1) })).pop() {
            Some(Message::JournalReply(JournalReply::OwnerList { owners, .. })) => {
                Ok(owners.into_iter().map(|(shard, ..)| shard).collect())
            }
            other => bail!("asked for the owners of shards, the journals answer {other:?}"),
        }
    }

    fn homes(&mut self, shards: &[ShardId]) -> anyhow::Result<Homes> {
        let mut homes = Homes::default();
        for &shard in shards {
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

/// Land that is in no shard with an owner, or in several of them; of each of the first shards one cell is named.
fn miscut(cluster: &ClusterSpec, shards: &[ShardId]) -> Vec<String> {
    let owners = |cell: CellId| shards.iter().filter(|shard| shard.contains(cell)).count();
    let land = cluster.spaces.iter().flat_map(|space| space.first_shards());
    let wrong = land.filter_map(|land| land.cells().find(|cell| owners(*cell) != 1));
    wrong.map(|cell| format!("{cell} is in {} shards with an owner", owners(cell))).collect()
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
    use pangaea_persistence::MemoryStore;
    use pangaea_schemas::journal::{Entry, ShardOp};
    use pangaea_schemas::message::{AppendId, Balance, Item, ItemKind, Owner};
    use pangaea_schemas::record::{Presence, Record, SessionState};
    use pangaea_schemas::{AgentEpoch, JournalIndex, Nonce, ShardEpoch, Tick};

    use super::*;

    const ADA: EntityId = EntityId(7);

    /// A journal's first entries, by one owner.
    fn write(files: &mut Files<MemoryStore>, shard: ShardId, entries: impl IntoIterator<Item = ShardOp>) {
        let nonce = Nonce(9);
        let ops = std::iter::once(ShardOp::Owner { node: AUDITOR, nonce }).chain(entries);
        for (seq, op) in (0..).zip(ops) {
            let entry = Entry { epoch: ShardEpoch(1), tick: Tick(seq), ops: vec![op] };
            let id = AppendId { nonce, seq: shard.to_bits() + seq };
            let append = JournalRequest::Append { shard, id, expected: JournalIndex(seq), entry: entry.into() };
            let [Message::JournalReply(JournalReply::Appended { .. })] = &files.ask(Message::JournalRequest(append))[..] else {
                panic!("{shard} takes no entry {seq}");
            };
        }
    }

    #[test]
    fn who_is_in_a_shard_that_was_cut_later_is_found_and_all_land_has_one_owner() {
        let cluster = ClusterSpec::demo();
        let mut files = Files { data: Data::new(MemoryStore::default()) };
        let first: Vec<ShardId> = cluster.spaces.iter().flat_map(|space| space.first_shards()).collect();
        let cell = first[0].cells().last().expect("a shard has cells");
        let ada = Record {
            entity: ADA,
            epoch: AgentEpoch(1),
            presence: Presence::Awake,
            cell,
            position: cell.corner(),
            session: SessionState::default(),
            components: Vec::new(),
            fleeting: Vec::new(),
        };
        write(&mut files, first[0], [ShardOp::put(&ada), ShardOp::Split { tails: vec![JournalIndex(0); 4] }]);
        first[2..].iter().for_each(|shard| write(&mut files, *shard, []));
        let shards = files.shards().expect("readable");
        let children = first[0].children().expect("it has some");
        assert!(children.iter().all(|child| shards.contains(child)) && !shards.contains(&first[0]), "{shards:?}");
        assert_eq!(files.homes(&shards).expect("readable").settled[&ADA], [children[3]]);
        let [unowned] = &miscut(&cluster, &shards)[..] else { panic!("{:?}", miscut(&cluster, &shards)) };
        assert!(unowned.contains("0 shards"), "{unowned}");
        let doubled: Vec<ShardId> = shards.iter().copied().chain([first[1], first[0]]).collect();
        let [twice] = &miscut(&cluster, &doubled)[..] else { panic!("{:?}", miscut(&cluster, &doubled)) };
        assert!(twice.contains("2 shards"), "{twice}");
    }

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
