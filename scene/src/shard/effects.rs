//! Effects that come from and go to other shards: [`crate::effects`] carried out.

use std::collections::BTreeMap;

use pangaea_schemas::EffectSeq;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{Effect, EffectMessage, Lane, Message};

use super::{EFFECTS_WAITING_MAX, Shard, Then};
use crate::effects::EFFECT_HOPS_MAX;
use crate::lanes::Hearing;

impl Shard {
    pub(super) fn effects(&mut self, message: EffectMessage) {
        match message {
            EffectMessage::Batch { lane, first, effects } => {
                if self.incarnation.ticks() && !self.closing && self.answers_to(lane.to) {
                    self.effects_came(lane, first, effects);
                }
            }
            EffectMessage::Ack { lane, upto } => {
                if self.answers_to(lane.to) && self.hear(lane) == Hearing::Fresh {
                    let dealings = self.dealings(lane.to);
                    if dealings.effects.acknowledged(lane.from, upto) {
                        dealings.delivered.insert(lane.from, upto);
                    }
                }
            }
        }
    }

    /// Whether the sender knows this owner does not matter: what was applied is in the journal, whoever reads it. While the
    /// journal lags behind, effects wait at their sender.
    fn effects_came(&mut self, lane: Lane, first: EffectSeq, effects: Vec<Effect>) {
        if !self.is_heard(lane) || self.life.inbox.effects.len() >= EFFECTS_WAITING_MAX || !self.writer.has_room() {
            return;
        }
        let dealings = self.dealings(lane.to);
        let mut news = dealings.effects.receive(lane.from, first, effects);
        if news.is_empty() {
            return self.acknowledge_effects(lane.to, lane.from);
        }
        dealings.applied.insert(lane.from, dealings.effects.taken(lane.from));
        if lane.to != self.id {
            // Its entities may be in any of the shards that stand in its place.
            let wider = |within: &ShardId| within.level > lane.to.level;
            news.iter_mut().for_each(|effect| effect.within = effect.within.filter(wider).or(Some(lane.to)));
        }
        self.life.urgent.extend(news.iter().map(|effect| effect.to));
        self.life.inbox.effects.extend(news);
    }

    pub(super) fn effects_are_durable(&mut self, name: ShardId, source: ShardId, upto: EffectSeq) {
        self.dealings(name).durably_applied.insert(source, upto);
        self.acknowledge_effects(name, source);
    }

    fn acknowledge_effects(&mut self, name: ShardId, source: ShardId) {
        let Some(upto) = self.dealings(name).durably_applied.get(&source).copied() else { return };
        let lane = self.lane_as(name, source);
        self.send_to_shard(source, Message::Effect(EffectMessage::Ack { lane, upto }));
    }

    /// Effects on entities that are not here go to the shard that takes them over, or where a ghost was seen, or where a
    /// forwarder points, or on through the shards that stand in a closed one's place; into the journal first.
    pub(super) fn route_effects(&mut self, effects: Vec<(Effect, Option<ShardId>)>) {
        let mut sent = BTreeMap::<ShardId, (EffectSeq, Vec<Effect>)>::new();
        for (mut effect, hint) in effects {
            if self.life.residents.contains_key(&effect.to) {
                self.life.inbox.effects.push(effect);
                continue;
            }
            let known = self.life.leaves.undecided(effect.to).or(hint).or_else(|| self.life.fence(effect.to).forward);
            let known = known.or_else(|| self.life.kin.get(&effect.to).copied());
            let known = known.filter(|to| *to != self.id);
            let next = effect.within.and_then(|region| self.id.next_within(region));
            let Some(to) = known.or(next) else {
                if self.now < self.life.young_until && self.life.inbox.effects.len() < EFFECTS_WAITING_MAX {
                    self.life.inbox.effects.push(effect);
                } else {
                    tracing::debug!(shard = %self.id, "an effect on nobody");
                }
                continue;
            };
            effect.hops += u8::from(known.is_some());
            let queued = (effect.hops <= EFFECT_HOPS_MAX).then(|| self.life.own.effects.send(to, effect.clone())).flatten();
            match queued {
                Some(seq) => sent.entry(to).or_insert((seq, Vec::new())).1.push(effect),
                None => {
                    self.meter.effects_lost += 1;
                    let lost = self.meter.effects_lost;
                    tracing::error!(shard = %self.id, %to, hops = effect.hops, lost, "an effect finds its entity in no shard, or too many wait");
                }
            }
        }
        for (to, (first, effects)) in sent {
            let upto = EffectSeq(first.0 + effects.len() as u64 - 1);
            self.writer.push(ShardOp::Sent { to, first, effects });
            self.when_durable(Then::Sent(to, upto));
        }
        self.send_effects();
    }

    pub(super) fn effects_may_go(&mut self, to: ShardId, upto: EffectSeq) {
        self.life.own.effects.is_durable(to, upto);
        self.send_effects();
    }

    /// What is on its way with a hand-over must arrive before the effects on it.
    fn send_effects(&mut self) {
        for name in self.names() {
            let (now, leaves) = (self.now, std::mem::take(&mut self.life.leaves));
            let batches = self.dealings(name).effects.poll(now, |to, effect| leaves.undecided(effect.to) != Some(to));
            self.life.leaves = leaves;
            for batch in batches {
                let lane = self.lane_as(name, batch.to);
                let message = EffectMessage::Batch { lane, first: batch.first, effects: batch.effects };
                self.send_to_shard(batch.to, Message::Effect(message));
            }
        }
    }
}
