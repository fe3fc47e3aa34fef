//! Samples of a shard on its way.

use super::Dice;
use crate::message::{
    Control, FeedFilter, Migration, MigrationNews, MigrationStep, OpId, RestAnswer, RestFollower, RestHeld, RestOperation,
    RestResident, RestSeat, ShardRest, ShardRoute, Transaction,
};
use crate::record::SessionState;
use crate::{MigrationId, OutSeq, Tick};

impl Dice {
    pub(in crate::wire::tests) fn migrations(&mut self) -> Vec<Migration> {
        let (id, shard) = (MigrationId(self.n()), self.shard());
        let route = ShardRoute { shard, owner: self.node(), nonce: self.nonce(), epoch: self.epoch() };
        vec![
            Migration::Prepare { id, shard, epoch: self.epoch(), entities: self.small() },
            Migration::Standby { id, shard, nonce: self.nonce() },
            Migration::Declined { id, shard, reason: self.text() },
            Migration::Copied {
                id,
                shard,
                round: self.small(),
                records: self.some(Self::record),
                gone: self.some(Self::entity),
                last: self.flag(),
            },
            Migration::Taken { id, shard, round: self.small() },
            Migration::Final { id, shard, rest: Box::new(self.rest()) },
            Migration::Ready { id, shard },
            Migration::Cancelled { id, shard },
            Migration::Owned { id, shard, epoch: self.epoch(), index: self.index(), nonce: self.nonce() },
            Migration::Running { id, shard, first: Tick(self.n()), started_us: self.n() },
            Migration::Moved { route },
            Migration::Recut { closed: vec![shard, self.shard()], routes: vec![route] },
        ]
    }

    pub(super) fn migration_controls(&mut self) -> Vec<Control> {
        let (id, shard, to) = (MigrationId(self.n()), self.shard(), self.node());
        let news = MigrationNews {
            id,
            shard,
            epoch: self.epoch(),
            to: self.maybe(Self::node),
            step: self.pick(&[MigrationStep::Preparing, MigrationStep::Committing, MigrationStep::Kept]),
            rounds: self.small(),
            entities: self.small(),
            bytes: self.n(),
            blackout_us: self.n(),
            missed_ticks: self.small(),
            reason: self.text(),
        };
        vec![
            Control::Migrate { id, shard, to },
            Control::CancelMigration { id, shard },
            Control::Recut { id, shard, merge: self.flag() },
            Control::Migrating(news),
        ]
    }

    fn rest(&mut self) -> ShardRest {
        ShardRest {
            tick: Tick(self.n()),
            seed: self.n(),
            pending: self.some(Self::effect),
            arrived: self.some(Self::effect),
            ids: self.some(|d| (d.n(), d.n())),
            hash: self.n(),
            durable: self.image(),
            residents: self.some(|d| RestResident { entity: d.entity(), epoch: d.ae(), dwell_us: d.n(), open: d.flag() }),
            seats: self.some(Self::seat),
            held: self.some(|d| RestHeld { leader: d.entity(), inputs: d.some(Self::client_input) }),
            operations: self.operations(),
            answers: self.answers(),
            peers: self.some(|d| (d.shard(), d.epoch())),
            followers: self.some(Self::follower),
            dirty: self.some(Self::entity),
            estates: self.some(Self::image),
        }
    }

    fn seat(&mut self) -> RestSeat {
        let state: SessionState = self.record().session;
        let window = self.some(Self::client_input);
        RestSeat {
            agent: self.entity(),
            state,
            linger_us: self.n(),
            window,
            fresh_after: OutSeq(self.small()),
            resync: self.flag(),
        }
    }

    fn operations(&mut self) -> Vec<RestOperation> {
        let transactions = self.transactions();
        let operation = |transaction| {
            let (op, by, gate) = (OpId(self.nonce().0), self.entity(), self.flag());
            RestOperation { op, by, gate, transaction }
        };
        transactions.into_iter().map(operation).collect()
    }

    pub(super) fn answers(&mut self) -> Vec<RestAnswer> {
        let (asked, by) = (Transaction::Look { agent: self.entity() }, self.entity());
        let answer = |result| RestAnswer { op: OpId(3), by, asked: asked.clone(), result };
        self.ledger_results().into_iter().map(answer).collect()
    }

    fn follower(&mut self) -> RestFollower {
        RestFollower {
            node: self.node(),
            shard: self.maybe(Self::shard),
            filter: self.pick(&[FeedFilter::Replicated, FeedFilter::Ghosted]),
            cells: self.some(Self::cell),
            fresh: self.some(Self::cell),
            seq: self.small(),
        }
    }
}
