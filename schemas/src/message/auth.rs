//! Logins: a gateway asks for a client, an authentication server answers with a ticket.

use crate::{EntityId, RequestId};

/// Who the client says it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password; `register` creates the account first.
    Password {
        /// 3 to 24 characters.
        name: String,
        /// 8 to 128 characters.
        password: String,
        /// Create the account.
        register: bool,
    },
    /// A fresh guest account; development clusters only.
    Guest {
        /// Wished name; may be empty.
        name: String,
    },
}

/// Passwords never reach a log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { name, register, .. } => {
                f.debug_struct("Password").field("name", name).field("register", register).finish_non_exhaustive()
            }
            Self::Guest { name } => f.debug_struct("Guest").field("name", name).finish(),
        }
    }
}

/// To an authentication server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthRequest {
    /// Check and issue a ticket.
    Login {
        /// Echoed in the reply.
        request: RequestId,
        /// Who.
        credentials: Credentials,
    },
}

/// Why there is no ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LoginRefusal {
    /// Unknown name or wrong password: not told which.
    Credentials = 0,
    /// The name is taken.
    NameTaken = 1,
    /// Name or password not of the allowed form.
    Form = 2,
    /// Too many attempts; wait.
    LockedOut = 3,
    /// Guests are not let in.
    NoGuests = 4,
    /// Accounts cannot be read now; try again.
    Unavailable = 5,
}

/// From an authentication server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthReply {
    /// A signed ticket.
    Ticket {
        /// Of the request.
        request: RequestId,
        /// PASETO v4.public.
        ticket: String,
        /// The player's agent.
        agent: EntityId,
        /// The player's name.
        name: String,
    },
    /// No ticket.
    Refused {
        /// Of the request.
        request: RequestId,
        /// Why.
        reason: LoginRefusal,
        /// Wait this long before another try; 0: no need.
        retry_after_ms: u32,
    },
}
