//! What clients and gateways say: gateways decode [`ClientMessage`] and encode [`ServerMessage`], client programs the reverse.
//!
//! Written by hand where `wire/` spells out names elsewhere: the schema is made for clients in many languages, not for our types.

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};

use super::codec::{At, Pack, Slot, Unpack, wire_code};
use super::update::{self, Update};
use super::{CLIENT_LIMITS, SERVER_LIMITS, WireError, build};
use crate::client::{
    ClientMessage, INPUTS_MAX, Input, NAME_BYTES_MAX, PROTOCOL_VERSION, RefusalCode, ServerMessage, TOKEN_BYTES_MAX,
};
use crate::generated::client as fb;
use crate::message::Credentials;
use crate::record::{OUTBOX_MAX, ReliableEvent};
use crate::registry::TYPE_BYTES_MAX;
use crate::{AgentEpoch, EntityId, InSeq, OutSeq, RegistryHash, Tick};

/// Longest password in bytes: 128 characters of at most 4 bytes.
pub const PASSWORD_BYTES_MAX: usize = 512;

type Union = WIPOffset<UnionWIPOffset>;

/// What a client program gets.
#[derive(Clone, Debug, PartialEq)]
pub enum FromServer {
    /// Anything but an update.
    Message(ServerMessage),
    /// What changed in a tick.
    Update(Update),
}

wire_code! {
    RefusalCode = fb::RefusalCode {
        Protocol, Registry, Credentials, Ticket, Token, Replaced, Full, Draining, Unavailable, RateLimit, BadMessage, NotAllowed,
        TooSlow,
    }
}

// ---- from the client ------------------------------------------------------------------------------------------------------

/// One FlatBuffer from a client.
pub fn decode_client(frame: &Bytes) -> Result<ClientMessage, WireError> {
    let root = flatbuffers::root_with_opts::<fb::ClientMessage<'_>>(&CLIENT_LIMITS, frame)?;
    let at = At::new(frame);
    let name = |text, field| String::unpack(text, at.field(field).at_most(NAME_BYTES_MAX));
    let token = |text, field| String::unpack(text, at.field(field).at_most(TOKEN_BYTES_MAX));
    if let Some(hello) = root.body_as_hello() {
        let client = name(hello.client().unwrap_or_default(), "client")?;
        return Ok(ClientMessage::Hello { protocol: hello.protocol(), registry: RegistryHash(hello.registry()), client });
    }
    if let Some(login) = root.body_as_login() {
        let password = String::unpack(login.password(), at.field("password").at_most(PASSWORD_BYTES_MAX))?;
        let credentials = Credentials::Password { name: name(login.name(), "name")?, password, register: login.register() };
        return Ok(ClientMessage::Login(credentials));
    }
    if let Some(guest) = root.body_as_guest() {
        return Ok(ClientMessage::Login(Credentials::Guest { name: name(guest.name().unwrap_or_default(), "name")? }));
    }
    if let Some(join) = root.body_as_join() {
        return Ok(ClientMessage::Join { ticket: token(join.ticket(), "ticket")? });
    }
    if let Some(resume) = root.body_as_resume() {
        let shard = resume.shard().and_then(|name| name.parse().ok());
        return Ok(ClientMessage::Resume { token: token(resume.token(), "token")?, out_ack: OutSeq(resume.out_ack()), shard });
    }
    if let Some(spectate) = root.body_as_spectate() {
        let cells = [spectate.x0(), spectate.z0(), spectate.x1(), spectate.z1()];
        let token = token(spectate.token().unwrap_or_default(), "token")?;
        return Ok(ClientMessage::Spectate { token, space: spectate.space(), cells });
    }
    if let Some(inputs) = root.body_as_inputs() {
        let out_ack = OutSeq(inputs.out_ack());
        return Ok(ClientMessage::Inputs {
            inputs: Vec::unpack(inputs.inputs(), at.field("inputs").at_most(INPUTS_MAX))?,
            out_ack,
        });
    }
    if let Some(ping) = root.body_as_ping() {
        return Ok(ClientMessage::Ping { client_time_us: ping.client_time_us() });
    }
    if root.body_as_leave().is_some() {
        return Ok(ClientMessage::Leave);
    }
    Err(at.field("body").impossible(root.body_type().0))
}

impl<'b> Pack<'b> for Input {
    type Wire = WIPOffset<fb::Input<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let bytes = Some(self.bytes.pack(b));
        fb::Input::create(b, &fb::InputArgs { seq: self.seq.0, id: self.id.0, bytes })
    }
}

impl<'a> Unpack<fb::Input<'a>> for Input {
    fn unpack(wire: fb::Input<'a>, at: At<'_>) -> Result<Self, WireError> {
        let bytes = Unpack::unpack(wire.bytes(), at.field("input").at_most(TYPE_BYTES_MAX))?;
        Ok(Self { seq: Unpack::unpack(wire.seq(), at)?, id: Unpack::unpack(wire.id(), at)?, bytes })
    }
}

/// One FlatBuffer for a gateway.
pub fn encode_client(message: &ClientMessage) -> Bytes {
    build(&[], |b| {
        let (body_type, body) = client_body(message, b);
        fb::ClientMessage::create(b, &fb::ClientMessageArgs { body_type, body: Some(body) })
    })
}

fn client_body(message: &ClientMessage, b: &mut FlatBufferBuilder<'_>) -> (fb::ClientBody, Union) {
    match message {
        ClientMessage::Hello { protocol, registry, client } => {
            let args = fb::HelloArgs { protocol: *protocol, registry: registry.0, client: Some(b.create_string(client)) };
            (fb::ClientBody::Hello, fb::Hello::create(b, &args).as_union_value())
        }
        ClientMessage::Login(Credentials::Password { name, password, register }) => {
            let (name, password) = (Some(b.create_string(name)), Some(b.create_string(password)));
            let args = fb::LoginArgs { name, password, register: *register };
            (fb::ClientBody::Login, fb::Login::create(b, &args).as_union_value())
        }
        ClientMessage::Login(Credentials::Guest { name }) => {
            let args = fb::GuestArgs { name: Some(b.create_string(name)) };
            (fb::ClientBody::Guest, fb::Guest::create(b, &args).as_union_value())
        }
        ClientMessage::Join { ticket } => {
            let args = fb::JoinArgs { ticket: Some(b.create_string(ticket)) };
            (fb::ClientBody::Join, fb::Join::create(b, &args).as_union_value())
        }
        ClientMessage::Resume { token, out_ack, shard } => {
            let shard = shard.map(|shard| b.create_string(&shard.to_string()));
            let args = fb::ResumeArgs { token: Some(b.create_string(token)), out_ack: out_ack.0, shard };
            (fb::ClientBody::Resume, fb::Resume::create(b, &args).as_union_value())
        }
        ClientMessage::Spectate { token, space, cells: [x0, z0, x1, z1] } => {
            let token = Some(b.create_string(token));
            let args = fb::SpectateArgs { token, space: *space, x0: *x0, z0: *z0, x1: *x1, z1: *z1 };
            (fb::ClientBody::Spectate, fb::Spectate::create(b, &args).as_union_value())
        }
        ClientMessage::Inputs { inputs, out_ack } => {
            let args = fb::InputsArgs { inputs: inputs.pack(b).arg(), out_ack: out_ack.0 };
            (fb::ClientBody::Inputs, fb::Inputs::create(b, &args).as_union_value())
        }
        ClientMessage::Ping { client_time_us } => {
            let args = fb::PingArgs { client_time_us: *client_time_us };
            (fb::ClientBody::Ping, fb::Ping::create(b, &args).as_union_value())
        }
        ClientMessage::Leave => (fb::ClientBody::Leave, fb::Leave::create(b, &fb::LeaveArgs {}).as_union_value()),
    }
}

// ---- from the gateway -----------------------------------------------------------------------------------------------------

/// One FlatBuffer for a client.
pub fn encode_server(message: &ServerMessage) -> Bytes {
    build(&[], |b| {
        let (body_type, body) = server_body(message, b);
        fb::ServerMessage::create(b, &fb::ServerMessageArgs { body_type, body: Some(body) })
    })
}

fn server_body(message: &ServerMessage, b: &mut FlatBufferBuilder<'_>) -> (fb::ServerBody, Union) {
    match message {
        ServerMessage::Welcome { registry, cluster, gateway, tick_hz, cell_edge_m, description } => {
            let args = fb::WelcomeArgs {
                protocol: PROTOCOL_VERSION,
                registry: registry.0,
                cluster: Some(b.create_string(cluster)),
                gateway: Some(b.create_string(gateway)),
                tick_hz: *tick_hz,
                cell_edge_m: *cell_edge_m,
                description: description.pack(b),
            };
            (fb::ServerBody::Welcome, fb::Welcome::create(b, &args).as_union_value())
        }
        ServerMessage::Ticket { ticket, agent, name } => {
            let (ticket, name) = (Some(b.create_string(ticket)), Some(b.create_string(name)));
            let args = fb::TicketArgs { ticket, agent: agent.0, name };
            (fb::ServerBody::Ticket, fb::Ticket::create(b, &args).as_union_value())
        }
        ServerMessage::Joined { agent, token, resumed, space, space_edge_cells, view_radius_cells, tick, in_seq, out_seq } => {
            let args = fb::JoinedArgs {
                agent: agent.0,
                token: Some(b.create_string(token)),
                resumed: *resumed,
                space: *space,
                space_edge_cells: *space_edge_cells,
                view_radius_cells: *view_radius_cells,
                tick: tick.0,
                in_seq: in_seq.0,
                out_seq: out_seq.0,
            };
            (fb::ServerBody::Joined, fb::Joined::create(b, &args).as_union_value())
        }
        ServerMessage::Watching { space, space_edge_cells } => {
            let args = fb::WatchingArgs { space: *space, space_edge_cells: *space_edge_cells };
            (fb::ServerBody::Watching, fb::Watching::create(b, &args).as_union_value())
        }
        ServerMessage::Refused { code, text, retry_after_ms } => {
            let text = Some(b.create_string(text));
            let args = fb::RefusedArgs { code: code.pack(b), text, retry_after_ms: *retry_after_ms };
            (fb::ServerBody::Refused, fb::Refused::create(b, &args).as_union_value())
        }
        ServerMessage::Goodbye { code, text, reconnect_to, retry_after_ms } => {
            let (text, reconnect_to) = (Some(b.create_string(text)), Some(b.create_string(reconnect_to)));
            let args = fb::GoodbyeArgs { code: code.pack(b), text, reconnect_to, retry_after_ms: *retry_after_ms };
            (fb::ServerBody::Goodbye, fb::Goodbye::create(b, &args).as_union_value())
        }
        ServerMessage::Events { events, resync } => {
            let events: Vec<_> = events.iter().map(|event| pack_event(event, b)).collect();
            let args = fb::EventsArgs { events: Some(b.create_vector(&events)), resync: *resync };
            (fb::ServerBody::Events, fb::Events::create(b, &args).as_union_value())
        }
        ServerMessage::Routed { shard, scene, epoch } => {
            let (shard, scene) = (Some(b.create_string(shard)), Some(b.create_string(scene)));
            let args = fb::RoutedArgs { shard, scene, agent_epoch: epoch.0 };
            (fb::ServerBody::Routed, fb::Routed::create(b, &args).as_union_value())
        }
        ServerMessage::Pong { client_time_us, server_time_us } => {
            let args = fb::PongArgs { client_time_us: *client_time_us, server_time_us: *server_time_us };
            (fb::ServerBody::Pong, fb::Pong::create(b, &args).as_union_value())
        }
    }
}

fn pack_event<'b>(event: &ReliableEvent, b: &mut FlatBufferBuilder<'b>) -> WIPOffset<fb::Event<'b>> {
    let bytes = Some(event.bytes.pack(b));
    fb::Event::create(b, &fb::EventArgs { seq: event.seq.0, id: event.id.0, bytes })
}

impl<'a> Unpack<fb::Event<'a>> for ReliableEvent {
    fn unpack(wire: fb::Event<'a>, at: At<'_>) -> Result<Self, WireError> {
        let bytes = Unpack::unpack(wire.bytes(), at.field("event").at_most(TYPE_BYTES_MAX))?;
        Ok(Self { seq: Unpack::unpack(wire.seq(), at)?, id: Unpack::unpack(wire.id(), at)?, bytes })
    }
}

/// One body from a gateway.
pub fn decode_server(frame: &Bytes) -> Result<FromServer, WireError> {
    if update::is_update(frame) {
        return update::read(frame).map(FromServer::Update);
    }
    let root = flatbuffers::root_with_opts::<fb::ServerMessage<'_>>(&SERVER_LIMITS, frame)?;
    server_message(root, At::new(frame)).map(FromServer::Message)
}

fn server_message(root: fb::ServerMessage<'_>, at: At<'_>) -> Result<ServerMessage, WireError> {
    let text = |text: &str, field| String::unpack(text, at.field(field));
    if let Some(welcome) = root.body_as_welcome() {
        return read_welcome(welcome, at);
    }
    if let Some(ticket) = root.body_as_ticket() {
        let name = text(ticket.name().unwrap_or_default(), "name")?;
        return Ok(ServerMessage::Ticket { ticket: text(ticket.ticket(), "ticket")?, agent: EntityId(ticket.agent()), name });
    }
    if let Some(joined) = root.body_as_joined() {
        return Ok(ServerMessage::Joined {
            agent: EntityId(joined.agent()),
            token: text(joined.token(), "token")?,
            resumed: joined.resumed(),
            space: joined.space(),
            space_edge_cells: joined.space_edge_cells(),
            view_radius_cells: joined.view_radius_cells(),
            tick: Tick(joined.tick()),
            in_seq: InSeq(joined.in_seq()),
            out_seq: OutSeq(joined.out_seq()),
        });
    }
    if let Some(watching) = root.body_as_watching() {
        return Ok(ServerMessage::Watching { space: watching.space(), space_edge_cells: watching.space_edge_cells() });
    }
    if let Some(refused) = root.body_as_refused() {
        let code = Unpack::unpack(refused.code(), at.field("code"))?;
        return Ok(ServerMessage::Refused {
            code,
            text: text(refused.text(), "text")?,
            retry_after_ms: refused.retry_after_ms(),
        });
    }
    if let Some(goodbye) = root.body_as_goodbye() {
        return Ok(ServerMessage::Goodbye {
            code: Unpack::unpack(goodbye.code(), at.field("code"))?,
            text: text(goodbye.text(), "text")?,
            reconnect_to: text(goodbye.reconnect_to().unwrap_or_default(), "reconnect_to")?,
            retry_after_ms: goodbye.retry_after_ms(),
        });
    }
    if let Some(events) = root.body_as_events() {
        let resync = events.resync();
        return Ok(ServerMessage::Events {
            events: Vec::unpack(events.events(), at.field("events").at_most(OUTBOX_MAX))?,
            resync,
        });
    }
    if let Some(routed) = root.body_as_routed() {
        let (shard, scene) =
            (text(routed.shard().unwrap_or_default(), "shard")?, text(routed.scene().unwrap_or_default(), "scene")?);
        return Ok(ServerMessage::Routed { shard, scene, epoch: AgentEpoch(routed.agent_epoch()) });
    }
    if let Some(pong) = root.body_as_pong() {
        return Ok(ServerMessage::Pong { client_time_us: pong.client_time_us(), server_time_us: pong.server_time_us() });
    }
    Err(at.field("body").impossible(root.body_type().0))
}

fn read_welcome(welcome: fb::Welcome<'_>, at: At<'_>) -> Result<ServerMessage, WireError> {
    if welcome.protocol() != PROTOCOL_VERSION {
        return Err(WireError::Protocol { found: welcome.protocol(), expected: PROTOCOL_VERSION });
    }
    Ok(ServerMessage::Welcome {
        registry: RegistryHash(welcome.registry()),
        cluster: Unpack::unpack(welcome.cluster(), at.field("cluster"))?,
        gateway: Unpack::unpack(welcome.gateway(), at.field("gateway"))?,
        tick_hz: welcome.tick_hz(),
        cell_edge_m: welcome.cell_edge_m(),
        description: Unpack::unpack(welcome.description(), at.field("description"))?,
    })
}
