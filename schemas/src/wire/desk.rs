//! An admin's desk: the fields of [`crate::message::Desk`], spelled out once.

use super::codec::{wire_code, wire_enum, wire_optional, wire_table};
use crate::client::NAME_BYTES_MAX;
use crate::generated::node::desk;
use crate::message::{
    COST_NAME_BYTES_MAX, Cost, Desk, KICK_BYTES_MAX, PROFILE_ROWS_MAX, PauseOrder, RECORDED_BYTES_MAX, SessionRow, Sight,
    SightState,
};

wire_table! {
    SessionRow = desk::{SessionRow, SessionRowArgs} {
        agent, account, name <= NAME_BYTES_MAX, session, connected, shard, owner, state,
    }
}
wire_table! { Cost = desk::{Cost, CostArgs} { name <= COST_NAME_BYTES_MAX, mean_ns, max_ns } }
wire_code! { SightState = desk::SightState { Leaving, Arriving, AtRest, Awake } }
wire_table! { Sight = desk::{Sight, SightArgs} { shard, epoch, state, toward, record } }
wire_optional! { Sight }
wire_code! { PauseOrder = desk::PauseOrder { Look, Pause, Resume, Step } }
wire_enum! {
    Desk = desk::{Desk, DeskArgs, DeskBody}
    variants {
        Look(LookArgs, body_as_look) { request, shard, after, limit, full },
        Seen(SeenArgs, body_as_seen) { request, shard, epoch, agents, more },
        Place(PlaceArgs, body_as_place) { request, shard, agent, position },
        Placed(PlacedArgs, body_as_placed) { request, here },
        ListSessions(ListSessionsArgs, body_as_list_sessions) { request, after, limit },
        Sessions(SessionsArgs, body_as_sessions) { request, sessions, more },
        Kick(KickArgs, body_as_kick) { request, agent, words <= KICK_BYTES_MAX },
        Kicked(KickedArgs, body_as_kicked) { request, here },
        Record(RecordArgs, body_as_record) { request, shard, key, seconds },
        TakeRecorded(TakeRecordedArgs, body_as_take_recorded) { request, shard, key, from },
        EndRecording(EndRecordingArgs, body_as_end_recording) { request, shard },
        Recorded(RecordedArgs, body_as_recorded) { request, bytes <= RECORDED_BYTES_MAX, refusal },
        Profile(ProfileArgs, body_as_profile) { request, shard },
        Profiled(ProfiledArgs, body_as_profiled) { request, shard, ticks, phases, systems <= PROFILE_ROWS_MAX },
        Pause(PauseArgs, body_as_pause) { request, shard, order, ticks },
        Paused(PausedArgs, body_as_paused) { request, left_ms, steps, tick, refusal },
        Inspect(InspectArgs, body_as_inspect) { request, entity },
        Inspected(InspectedArgs, body_as_inspected) { request, sight },
    }
    carriers {}
}
